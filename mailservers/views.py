"""The dialogs and cards of mail servers (spec B1 to B8). Each also opens by its plain address."""

from __future__ import annotations

import json

from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from mailservers.checking import CheckReport
from mailservers.forms import MailServerForm, service_values
from mailservers.models import MailServer
from mailservers.saving import delete_server, save_server
from mailservers.streaming import Line, Part, stream_check, stream_lines
from mailservers.test_message import send_test_message
from mailservers.trying import check_of, note_check
from organizations.operations import Operation
from organizations.permissions import operation_required
from organizations.requests import SignedInRequest

managed = operation_required(Operation.MANAGE_MAIL_SERVERS)


@require_GET
@managed
def section(request: SignedInRequest) -> HttpResponse:
    """The cards alone, after a dialog changed one."""
    servers = MailServer.objects.manageable_by(request.user).for_cards()
    return render(request, "mailservers/_section.html", {"servers": servers})


@require_GET
@managed
def card(request: SignedInRequest, pk: int) -> HttpResponse:
    """One card alone, for a page that stays open."""
    server = get_object_or_404(MailServer.objects.manageable_by(request.user).for_cards(), pk=pk)
    return render(request, "mailservers/_card.html", {"server": server, "mailbox_count": server.mailbox_count})


@require_http_methods(["GET", "POST"])
@managed
def create(request: SignedInRequest) -> HttpResponse:
    return _edit(request, MailServer(organization=request.user.organization))


@require_http_methods(["GET", "POST"])
@managed
def edit(request: SignedInRequest, pk: int) -> HttpResponse:
    return _edit(request, _server(request, pk))


@require_POST
@managed
def service(request: SignedInRequest, pk: int | None = None) -> HttpResponse:
    """The fields again, filled for the service that was chosen; what it does not know stays as typed."""
    server = _server(request, pk) if pk else MailServer()
    typed = MailServerForm(request.POST, instance=server, organization=request.user.organization)
    values: dict[str, object] = {name: request.POST.get(name, "") for name in typed.fields if name != "password"}
    values |= {"is_default": "is_default" in request.POST, "accepts_clear_text": "accepts_clear_text" in request.POST}
    provider = typed.service
    if provider is not None and not provider.sending_obstacle():
        values = service_values(provider, values)
    form = MailServerForm(initial=values, instance=server, organization=request.user.organization)
    return render(request, "mailservers/_fields.html", {"form": form, "server": server})


@require_POST
@managed
def check(request: SignedInRequest, pk: int | None = None) -> HttpResponse | StreamingHttpResponse:
    """Try the typed values, step by step; nothing is saved (spec B4)."""
    server = _server(request, pk) if pk else MailServer()
    form = MailServerForm(request.POST, instance=server, organization=request.user.organization)
    form.fields["name"].required = False  # a name is needed to save, not to connect
    if not form.is_valid():
        return _dialog(request, form, status=422)

    def finish(reports: list[CheckReport]) -> list[Line]:
        note_check(form, reports[0], request.user, request)
        return []

    return stream_check(request, [Part("", check_of(form, request.user))], finish)


@require_http_methods(["GET", "POST"])
@managed
def delete(request: SignedInRequest, pk: int) -> HttpResponse:
    """Ask, with what will break (spec B8); linked mailboxes stay without outgoing part."""
    server = get_object_or_404(MailServer.objects.manageable_by(request.user).with_mailbox_count(), pk=pk)
    if request.method == "GET":
        return _shown(request, "mailservers/_delete.html", "Delete mail server", {"server": server})
    delete_server(server, request.user, request)
    return _done(request, f"{server.name} was deleted.")


@require_http_methods(["GET", "POST"])
@managed
def test_message(request: SignedInRequest, pk: int) -> HttpResponse | StreamingHttpResponse:
    """Send one message through the saved server to the person who asks, never to the login's address (spec B4)."""
    server = _server(request, pk)
    if request.method == "GET":
        return _shown(request, "mailservers/_test_message.html", "Send a test message", {"server": server})
    return stream_lines(request, lambda emit: send_test_message(server, request, emit))


def _edit(request: SignedInRequest, server: MailServer) -> HttpResponse:
    organization, is_new = request.user.organization, server.pk is None
    if request.method == "GET":
        return _dialog(request, MailServerForm(instance=server, organization=organization))
    form = MailServerForm(request.POST, instance=server, organization=organization)
    if not form.is_valid():
        return _dialog(request, form, status=422)
    saved = save_server(form, request.user, request)
    if saved is None:
        return _dialog(request, form, status=422)
    return _done(request, f"{saved.name} was added." if is_new else f"{saved.name} was saved.")


def _server(request: SignedInRequest, pk: int) -> MailServer:
    return get_object_or_404(MailServer.objects.manageable_by(request.user), pk=pk)


def _dialog(request: SignedInRequest, form: MailServerForm, *, status: int = 200) -> HttpResponse:
    server = form.instance if form.instance.pk else None
    title = "Edit mail server" if server else "Add mail server"
    return _shown(request, "mailservers/_form.html", title, {"form": form, "server": server}, status=status)


def _shown(
    request: SignedInRequest, fragment: str, title: str, context: dict[str, object], *, status: int = 200
) -> HttpResponse:
    """The fragment for the dialog, or a page around it where its address was opened plainly."""
    context = {**context, "title": title, "fragment": fragment}
    template = fragment if request.htmx else "mailservers/page.html"
    return render(request, template, context, status=status)


def _done(request: SignedInRequest, sentence: str) -> HttpResponse:
    if not request.htmx:
        return redirect("email-settings")
    news = {
        "dialog:close": {},
        "toast": {"text": sentence, "kind": "good"},
        "mailservers:changed": {},
        "accounts:changed": {},
    }
    # Opened by its plain address there is no page behind the dialog to go back to.
    if request.htmx.current_url_abs_path != reverse("email-settings"):
        return HttpResponse(headers={"HX-Redirect": reverse("email-settings")})
    return HttpResponse(status=204, headers={"HX-Trigger": json.dumps(news)})
