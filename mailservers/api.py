"""`/mail-servers` of the API: what the cards and dialogs do (spec B1 to B8, L1)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Status

from mailservers.forms import MailServerForm
from mailservers.models import MailServer
from mailservers.resources import (
    Check,
    CheckDiagnosis,
    CheckStep,
    MailServerChanges,
    MailServerDocument,
    MailServerList,
    MailServerValues,
    NewMailServer,
    TestMessageResult,
    check_document,
    server_document,
)
from mailservers.saving import delete_server, save_server
from mailservers.streaming import PLACES
from mailservers.test_message import try_test_message
from mailservers.trying import check_of, note_check
from organizations.calls import ApiRequest, Asked, Listing, Problem, form_values, invalid_form, needs
from organizations.operations import Operation
from organizations.paging import in_key_order
from organizations.scopes import Scope
from organizations.sealing import Unopenable
from protocols.steps import Step, StepStatus, ignore

router = Router(tags=["Mail servers"])
reads = needs(Scope.MAIL_SERVERS_READ, Operation.MANAGE_MAIL_SERVERS)
writes = needs(Scope.MAIL_SERVERS_WRITE, Operation.MANAGE_MAIL_SERVERS)


@router.get("/mail-servers", auth=reads, operation_id="mail_servers_list", response=MailServerList)
def mail_servers_list(request: ApiRequest, listing: Query[Listing]) -> MailServerList:
    """The organization's outgoing servers, oldest first."""
    page = in_key_order(_servers(request), listing.checked_cursor, size=listing.limit)
    return MailServerList(items=[server_document(server) for server in page.rows], next=page.next or None)


@router.post("/mail-servers", auth=writes, operation_id="mail_servers_create", response={201: MailServerDocument})
def mail_servers_create(request: ApiRequest, body: NewMailServer) -> Status[MailServerDocument]:
    """Add a server. Nothing is dialled; `/mail-servers/check` tries the values before."""
    return Status(201, _save(request, _form(request, body, MailServer(organization=request.user.organization))))


@router.post("/mail-servers/check", auth=writes, operation_id="mail_servers_check_values", response=Check)
def mail_servers_check_values(request: ApiRequest, body: MailServerValues) -> Check:
    """Try values that are not saved: reach, protection, login, and whether the login's address may send."""
    return _check(request, _form(request, body, MailServer()))


@router.get("/mail-servers/{int:pk}", auth=reads, operation_id="mail_servers_get", response=MailServerDocument)
def mail_servers_get(request: ApiRequest, pk: int) -> MailServerDocument:
    """One server, with its last check."""
    return server_document(_server_or_404(request, pk))


@router.patch("/mail-servers/{int:pk}", auth=writes, operation_id="mail_servers_update", response=MailServerDocument)
def mail_servers_update(request: ApiRequest, pk: int, body: MailServerChanges) -> MailServerDocument:
    """Change a server. Another host, port or security needs the password again: it is sent nowhere else."""
    return _save(request, _form(request, body, _server_or_404(request, pk)))


@router.delete("/mail-servers/{int:pk}", auth=writes, operation_id="mail_servers_delete", response={204: None})
def mail_servers_delete(request: ApiRequest, pk: int) -> Status[None]:
    """Delete a server. Mailboxes that send through it stay, and cannot send until another one is chosen."""
    delete_server(_server_or_404(request, pk), request.user, request)
    return Status(204, None)


@router.post("/mail-servers/{int:pk}/check", auth=writes, operation_id="mail_servers_check", response=Check)
def mail_servers_check(request: ApiRequest, pk: int) -> Check:
    """Try the saved server; the result stays with it."""
    return _check(request, _form(request, MailServerChanges(), _server_or_404(request, pk)))


@router.post(
    "/mail-servers/{int:pk}/test-message",
    auth=writes,
    operation_id="mail_servers_test_message",
    response=TestMessageResult,
)
def mail_servers_test_message(request: ApiRequest, pk: int) -> TestMessageResult:
    """Send one message through the saved server, to the person whose token this is."""
    server = _server_or_404(request, pk)
    steps: list[CheckStep] = []

    def handed_over(*, status: StepStatus, detail: str, ms: int) -> None:
        steps.append(CheckStep(name="message", status=status.value, ms=ms, detail=detail))

    def observe(step: Step) -> None:
        steps.append(CheckStep(name=step.name.value, status=step.status.value, ms=step.ms, detail=step.detail))

    with checking(request), opening_passwords():
        outcome = try_test_message(server, request, observe=observe, handed_over=handed_over)
    diagnosis = CheckDiagnosis.model_validate(outcome.problem.as_json()) if outcome.problem else None
    return TestMessageResult(
        ok=outcome.problem is None,
        recipient=outcome.recipient,
        steps=steps,
        diagnosis=diagnosis,
        server_response=outcome.reply,
    )


@contextmanager
def checking(request: ApiRequest) -> Iterator[None]:
    """Hold one of the few places that each person has for connections that are waited for."""
    if not PLACES.take(request.user.pk):
        raise Problem(
            429,
            "too-many-checks",
            "Too many checks at once.",
            "Three of your checks are running. Wait until one has ended.",
            retry_after=10,
        )
    try:
        yield
    finally:
        PLACES.give_back(request.user.pk)


@contextmanager
def opening_passwords() -> Iterator[None]:
    """A stored password whose key is gone is the caller's to type again."""
    try:
        yield
    except Unopenable as exc:
        raise Problem(
            409,
            "password-unreadable",
            "A stored password can no longer be opened.",
            "The key that sealed it is gone. Store the password again.",
        ) from exc


def _servers(request: ApiRequest) -> QuerySet[MailServer]:
    return MailServer.objects.manageable_by(request.user).for_cards()


def _server_or_404(request: ApiRequest, pk: int) -> MailServer:
    return get_object_or_404(_servers(request), pk=pk)


def _form(request: ApiRequest, body: Asked, server: MailServer) -> MailServerForm:
    """The form that the dialog has, filled with what stands there and with what was sent. Raises Invalid."""
    organization = request.user.organization
    before = MailServerForm(instance=server, organization=organization)
    form = MailServerForm(form_values(before, body.sent), instance=server, organization=organization)
    form.fields["name"].required = isinstance(body, NewMailServer) or server.pk is not None
    if not form.is_valid():
        raise invalid_form(form)
    return form


def _save(request: ApiRequest, form: MailServerForm) -> MailServerDocument:
    server = save_server(form, request.user, request)
    if server is None:
        raise invalid_form(form)
    return server_document(_server_or_404(request, server.pk))


def _check(request: ApiRequest, form: MailServerForm) -> Check:
    with checking(request):
        report = check_of(form, request.user)(ignore)
    note_check(form, report, request.user, request)
    return check_document(report, request.user)
