"""`/mailboxes` of the API: what the cards, the dialogs and the settings pages do (spec E4, E6 to E12, L1)."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query, Router, Status

from accounts import pausing
from accounts.changing import change_mailbox
from accounts.checks import checks_of
from accounts.mailbox_form import MailboxForm
from accounts.models import Mailbox
from accounts.pausing import CannotResume
from accounts.resources import MailboxChanges, MailboxDocument, MailboxList, NewMailbox, mailbox_document
from accounts.rights import Right
from accounts.saving import delete_mailbox, save_mailbox
from accounts.settings_audit import note_check, note_reading
from mailservers.api import checking, opening_passwords
from mailservers.resources import BothChecks, both_checks, check_document
from organizations.calls import ApiRequest, Asked, Listing, Problem, form_values, invalid, invalid_form, needs
from organizations.operations import Operation
from organizations.paging import in_key_order
from organizations.scopes import Scope
from protocols.credentials import Secret
from protocols.steps import ignore

router = Router(tags=["Mailboxes"])
reads, writes = needs(Scope.MAILBOXES_READ), needs(Scope.MAILBOXES_WRITE)
adds = needs(Scope.MAILBOXES_WRITE, Operation.MANAGE_EMAIL_ACCOUNTS)


@router.get("/mailboxes", auth=reads, operation_id="mailboxes_list", response=MailboxList)
def mailboxes_list(request: ApiRequest, listing: Query[Listing]) -> MailboxList:
    """The email accounts that you may know of, oldest first."""
    page = in_key_order(_visible(request), listing.checked_cursor, size=listing.limit)
    return MailboxList(items=_documents(request, page.rows, peeks=False), next=page.next or None)


@router.post("/mailboxes", auth=adds, operation_id="mailboxes_create", response={201: MailboxDocument})
def mailboxes_create(request: ApiRequest, body: NewMailbox) -> Status[MailboxDocument]:
    """Add an account. Nothing is dialled; `/mailboxes/check` tries the values before."""
    refuse_bound_token(request)
    form = _new_form(request, body)
    if not save_mailbox(form, request.user, request):
        raise invalid_form(form)
    return Status(201, mailbox_at(request, form.instance.pk))


@router.post("/mailboxes/check", auth=adds, operation_id="mailboxes_check_values", response=BothChecks)
def mailboxes_check_values(request: ApiRequest, body: NewMailbox) -> BothChecks:
    """Try values that are not saved: reading, and sending through the chosen server."""
    refuse_bound_token(request)
    form = _new_form(request, body)
    return _check(request, form.save(commit=False), form.secret(), noted_for=None)


@router.get("/mailboxes/{int:pk}", auth=reads, operation_id="mailboxes_get", response=MailboxDocument)
def mailboxes_get(request: ApiRequest, pk: int) -> MailboxDocument:
    """One account. Who reads another person's settings leaves a line in the audit log, as on the pages."""
    document = mailbox_at(request, pk)
    if document.settings is not None:
        note_reading(request, visible_or_404(request, pk), request.user)
    return document


@router.patch("/mailboxes/{int:pk}", auth=writes, operation_id="mailboxes_update", response=MailboxDocument)
def mailboxes_update(request: ApiRequest, pk: int, body: MailboxChanges) -> MailboxDocument:
    """Change an account's name, servers and habits, all of it or nothing."""
    change_mailbox(changeable_or_404(request, pk), body.sent, request)
    return mailbox_at(request, pk)


@router.delete("/mailboxes/{int:pk}", auth=writes, operation_id="mailboxes_delete", response={204: None})
def mailboxes_delete(request: ApiRequest, pk: int) -> Status[None]:
    """Delete an account here, with the mail that is stored of it. Nothing on the mail server is touched."""
    mailbox = visible_or_404(request, pk)
    if not mailbox.may_be_deleted_by(request.user):
        raise PermissionDenied("Only its owner, or who manages email accounts, deletes it.")
    delete_mailbox(mailbox, request.user, request)
    return Status(204, None)


@router.post("/mailboxes/{int:pk}/check", auth=writes, operation_id="mailboxes_check", response=BothChecks)
def mailboxes_check(request: ApiRequest, pk: int) -> BothChecks:
    """Try the saved account: reading and sending."""
    mailbox = changeable_or_404(request, pk)
    with opening_passwords():
        return _check(request, mailbox, mailbox.password, noted_for=mailbox)


@router.post("/mailboxes/{int:pk}/pause", auth=writes, operation_id="mailboxes_pause", response=MailboxDocument)
def mailboxes_pause(request: ApiRequest, pk: int) -> MailboxDocument:
    """Download nothing until somebody resumes it. A sync that runs already comes to its end."""
    pausing.pause(changeable_or_404(request, pk), by=request.user, now=timezone.now(), request=request)
    return mailbox_at(request, pk)


@router.post("/mailboxes/{int:pk}/resume", auth=writes, operation_id="mailboxes_resume", response=MailboxDocument)
def mailboxes_resume(request: ApiRequest, pk: int) -> MailboxDocument:
    """End a pause. Where the server refused the password, storing the right one ends it."""
    try:
        pausing.resume(changeable_or_404(request, pk), by=request.user, request=request)
    except CannotResume as exc:
        raise Problem(409, "password-refused", "This mailbox cannot be resumed.", str(exc)) from exc
    return mailbox_at(request, pk)


def visible_or_404(request: ApiRequest, pk: int) -> Mailbox:
    return get_object_or_404(_visible(request), pk=pk)


def changeable_or_404(request: ApiRequest, pk: int) -> Mailbox:
    """404 where the caller cannot see it; PermissionDenied where only the right to set it up is missing."""
    mailbox = visible_or_404(request, pk)
    if not Mailbox.objects.manageable_by(request.user, timezone.now()).filter(pk=pk).exists():
        raise PermissionDenied(f"You may not change {mailbox}. Its owner can give you the right to set it up.")
    return mailbox


def _visible(request: ApiRequest) -> QuerySet[Mailbox]:
    visible = Mailbox.objects.visible_to(request.user, timezone.now())
    return visible.select_related("organization", "mail_server__provider", "provider")


def _documents(request: ApiRequest, mailboxes: Sequence[Mailbox], *, peeks: bool = True) -> list[MailboxDocument]:
    """As many queries for a hundred as for one. peeks: whether settings of other people's are among them."""
    user, now = request.user, timezone.now()
    these = Mailbox.objects.filter(pk__in=[mailbox.pk for mailbox in mailboxes])
    held = {right: _keys(these.allowing(right, user, now)) for right in Right}
    changeable = _keys(these.manageable_by(user, now))
    return [
        mailbox_document(
            mailbox,
            {right for right in Right if mailbox.pk in held[right]},
            shows_settings=mailbox.pk in changeable and (peeks or mailbox.owner_id in (None, user.pk)),
        )
        for mailbox in mailboxes
    ]


def mailbox_at(request: ApiRequest, pk: int) -> MailboxDocument:
    [document] = _documents(request, [visible_or_404(request, pk)])
    return document


def _keys(mailboxes: QuerySet[Mailbox]) -> set[int]:
    return set(mailboxes.values_list("pk", flat=True))


def _new_form(request: ApiRequest, body: Asked) -> MailboxForm:
    form = MailboxForm(form_values(MailboxForm(user=request.user), body.sent), user=request.user)
    if not form.is_valid():
        raise invalid_form(form)
    return form


def refuse_bound_token(request: ApiRequest) -> None:
    if request.auth.only_mailboxes:
        raise Problem(
            403,
            "token-bound",
            "The token is bound to certain mailboxes.",
            "This is about more than them. Make a token that is not bound.",
        )


def _check(request: ApiRequest, mailbox: Mailbox, password: Secret, *, noted_for: Mailbox | None) -> BothChecks:
    with opening_passwords():
        parts = checks_of(mailbox, password)
    if not parts:
        raise invalid("imap_host", "There is nothing to test: give an IMAP host, or choose a mail server.")
    with checking(request):
        reports = [part.check(ignore) for part in parts]
    note_check(request, noted_for, request.user, reports)
    found = (check_document(report, request.user) for report in reports)
    incoming = next(found) if mailbox.incoming() is not None else None
    return both_checks(incoming, next(found, None))
