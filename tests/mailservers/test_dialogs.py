from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from accounts.models import Mailbox
from mailservers.forms import MailServerForm
from mailservers.models import MailServer
from organizations.models import AuditEntry, OperationGrant, Organization, User
from organizations.operations import Operation
from protocols.credentials import Secret
from providers.models import Provider
from tests.mailservers.conftest import STORED

HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/communications/settings/email"}
VALUES = {
    "provider": "",
    "name": "Relay",
    "host": "smtp.example.org",
    "port": "587",
    "security": "starttls",
    "username": "office@example.org",
    "password": "typed-secret-1284",
    "timeout": "40",
}


@pytest.fixture
def ada(administrator: User, client_of: Callable[[User], Client]) -> Client:
    return client_of(administrator)


def post(client: Client, view: str, /, *args: object, **changes: str):
    values = {key: value for key, value in {**VALUES, **changes}.items() if value is not None}
    return client.post(reverse(f"mailservers:{view}", args=args), values, headers=HTMX)


def stored_as(server: MailServer) -> dict[str, str]:
    """The form's values for a server that is not changed: its password is left blank."""
    return {
        "name": server.name,
        "host": server.host,
        "port": str(server.port),
        "security": server.security,
        "username": server.username,
        "password": "",
        "timeout": str(server.timeout),
    }


@pytest.mark.proves("B2", "B6")
def test_a_server_is_added_with_its_password_encrypted(ada: Client, administrator: User):
    answer = post(ada, "create")
    assert answer.status_code == 204
    assert "Relay was added." in answer.headers["HX-Trigger"]
    server = MailServer.objects.get()
    assert server.organization == administrator.organization
    assert server.password.reveal() == "typed-secret-1284"
    assert b"typed-secret" not in bytes(server.__dict__["password"])
    assert not server.is_default
    entry = AuditEntry.objects.get(action="mailserver.created")
    assert (entry.actor, entry.object_label) == (administrator, "Relay")
    assert "typed-secret" not in str(entry.detail)


@pytest.mark.proves("B2")
def test_the_dialog_starts_with_the_usual_values(ada: Client):
    form = ada.get(reverse("mailservers:create"), headers=HTMX).context["form"]
    assert (form["port"].value(), form["security"].value(), form["timeout"].value()) == (587, "starttls", 40)
    assert not form["is_default"].value()


@pytest.mark.proves("B2")
@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"name": ""}, "name", "Give the server a name"),
        ({"host": ""}, "host", "name or address of the SMTP server"),
        ({"host": "smtp example.org"}, "host", "no spaces"),
        ({"host": "https://smtp.example.org/"}, "host", "Type only the host name"),
        ({"host": "office@example.org"}, "host", "email address"),
        ({"host": "smtp\x00.example.org"}, "host", ""),
        ({"port": ""}, "port", "Type the port"),
        ({"port": "0"}, "port", "1 to 65535"),
        ({"port": "70000"}, "port", "1 to 65535"),
        ({"port": "smtp"}, "port", "whole number"),
        ({"port": "9" * 400}, "port", "1 to 65535"),
        ({"timeout": "0"}, "timeout", "1 to 300"),
        ({"timeout": "301"}, "timeout", "1 to 300"),
        ({"security": "ssl"}, "security", "does not offer that"),
        ({"username": ""}, "username", "A password needs a user name"),
        ({"password": ""}, "password", "Type the password"),
        ({"username": "a\r\nb"}, "username", "line break"),
        ({"provider": "999999"}, "provider", ""),
        ({"name": "x" * 500}, "name", "120"),
    ],
)
def test_a_wrong_value_is_explained_beside_its_field_and_nothing_typed_is_lost(
    ada: Client, changes: dict[str, str], field: str, words: str
):
    answer = post(ada, "create", **changes)
    assert answer.status_code == 422
    form = answer.context["form"]
    assert words in " ".join(form.errors[field])
    for name, value in {**VALUES, **changes}.items():
        assert (form[name].value() or "") == value
    assert not MailServer.objects.exists()


@pytest.mark.proves("J3")
def test_a_password_on_an_unprotected_line_needs_a_confirmation(ada: Client):
    answer = post(ada, "create", security="none", port="25")
    assert answer.status_code == 422
    assert "readable" in str(answer.context["form"].errors["accepts_clear_text"])
    assert post(ada, "create", security="none", port="25", accepts_clear_text="on").status_code == 204
    relay = post(ada, "create", name="Second", security="none", port="25", username="", password="")
    assert relay.status_code == 204, relay.context["form"].errors


@pytest.mark.proves("B2")
def test_two_servers_of_an_organization_never_have_the_same_name(ada: Client, make_server, other_organization):
    make_server("Büro", organization=other_organization)
    assert post(ada, "create", name="Büro").status_code == 204
    again = post(ada, "create", name=" BÜRO ")
    assert again.status_code == 422
    words = "There is a mail server “BÜRO” already. Choose another name, so that people can tell them apart."
    assert again.context["form"].errors["name"] == [words]
    own = MailServer.objects.get(name="Büro", organization__name="Example Ltd")
    assert post(ada, "edit", own.pk, name="büro", password="").status_code == 204
    make_server("Office")
    with pytest.raises(IntegrityError, match="one_mail_server_per_name"), transaction.atomic():
        make_server("OFFICE")


def test_a_name_that_was_taken_at_the_same_moment_is_refused_in_words(ada: Client, make_server, monkeypatch):
    make_server("Office")
    seen = iter([False, True])  # the form looked before the other one was stored
    monkeypatch.setattr(MailServerForm, "name_is_taken", lambda self, name: next(seen))
    answer = post(ada, "create", name="Office")
    assert answer.status_code == 422
    assert "already" in str(answer.context["form"].errors["name"])


@pytest.mark.proves("B6")
def test_a_blank_password_keeps_the_stored_one(ada: Client, server: MailServer):
    assert post(ada, "edit", server.pk, **{**stored_as(server), "name": "Renamed"}).status_code == 204
    server = MailServer.objects.get()
    assert server.name == "Renamed"
    assert server.password.reveal() == STORED


@pytest.mark.proves("B6")
@pytest.mark.parametrize("change", [{"host": "evil.example"}, {"port": "2525"}, {"security": "tls"}])
@pytest.mark.parametrize("view", ["edit", "check"])
def test_a_stored_password_is_never_sent_to_a_place_it_was_not_typed_for(
    ada: Client, server: MailServer, view: str, change: dict[str, str]
):
    answer = post(ada, view, server.pk, **{**stored_as(server), **change})
    assert answer.status_code == 422
    [sentence] = answer.context["form"].errors["password"]
    assert sentence == (
        "Type the password again: the stored one is for smtp.example.org:587 with STARTTLS and is sent nowhere else."
    )
    assert MailServer.objects.get().host == "smtp.example.org"


def test_clearing_the_user_name_forgets_the_password(ada: Client, server: MailServer):
    assert post(ada, "edit", server.pk, **{**stored_as(server), "username": ""}).status_code == 204
    assert not MailServer.objects.get().password


@pytest.mark.proves("B6")
def test_no_page_ever_contains_a_password(ada: Client, server: MailServer):
    pages = [
        ada.get(reverse("email-settings")),
        ada.get(reverse("mailservers:edit", args=[server.pk])),
        ada.get(reverse("mailservers:edit", args=[server.pk]), headers=HTMX),
        ada.get(reverse("mailservers:card", args=[server.pk])),
        post(ada, "edit", server.pk, host=""),
        post(ada, "service", server.pk),
    ]
    for page in pages:
        assert STORED not in page.content.decode()
        assert VALUES["password"] not in page.content.decode()


@pytest.mark.proves("B5")
def test_marking_a_default_clears_the_old_one(ada: Client, make_server, other_organization: Organization):
    first = make_server("First", is_default=True)
    theirs = make_server("Theirs", is_default=True, organization=other_organization)
    second = make_server("Second")
    assert post(ada, "edit", second.pk, **stored_as(second), is_default="on").status_code == 204
    assert set(MailServer.objects.filter(is_default=True)) == {second, theirs}
    first.refresh_from_db()
    assert not first.is_default
    assert b"Default" in ada.get(reverse("mailservers:card", args=[second.pk])).content


@pytest.mark.proves("B8")
def test_deleting_says_what_breaks_and_leaves_the_mailboxes(ada: Client, server: MailServer, make_mailbox):
    for name in ("one", "two"):
        make_mailbox(f"{name}@example.org", mail_server=server, smtp_host="")
    dialog = " ".join(ada.get(reverse("mailservers:delete", args=[server.pk]), headers=HTMX).content.decode().split())
    assert "Are you sure you want to delete" in dialog
    assert "This cannot be undone." in dialog
    assert "2 mailboxes lose sending." in dialog
    assert MailServer.objects.exists()
    assert ada.post(reverse("mailservers:delete", args=[server.pk]), headers=HTMX).status_code == 204
    assert not MailServer.objects.exists()
    assert [mailbox.can_send for mailbox in Mailbox.objects.all()] == [False, False]
    entry = AuditEntry.objects.get(action="mailserver.deleted")
    assert (entry.object_label, entry.detail) == ("Production", {"mailboxes": 2})


@pytest.mark.proves("B3")
def test_choosing_a_service_fills_in_its_server_and_shows_its_hint(ada: Client, db):
    google = Provider.objects.create(
        key="google",
        name="Google",
        smtp_host="smtp.gmail.com",
        smtp_port=465,
        authentication="app_password",
        hint="Google asks for an app password.",
        instructions_url="https://myaccount.google.com/apppasswords",
    )
    answer = post(ada, "service-new", provider=str(google.pk), name="", username="me@gmail.com")
    form, page = answer.context["form"], answer.content.decode()
    assert [form[name].value() for name in ("host", "port", "security")] == ["smtp.gmail.com", 465, "tls"]
    assert (form["name"].value(), form["username"].value()) == ("Google", "me@gmail.com")
    assert page.index("Google asks for an app password.") < page.index('type="password"')
    assert "https://myaccount.google.com/apppasswords" in page
    assert "App password" in page


@pytest.mark.proves("B3")
def test_spaces_in_an_app_password_do_not_matter(ada: Client, db):
    google = Provider.objects.create(key="g", name="G", smtp_host="smtp.gmail.com", authentication="app_password")
    assert post(ada, "create", provider=str(google.pk), password=" abcd efgh ijkl ").status_code == 204
    assert MailServer.objects.get().password.reveal() == "abcdefghijkl"


@pytest.mark.proves("E1")
def test_the_spaces_of_any_other_password_are_kept(ada: Client, db):
    assert post(ada, "create", password=" a bell  is short ").status_code == 204
    assert MailServer.objects.get().password.reveal() == " a bell  is short "


@pytest.mark.proves("E1")
def test_the_host_alone_tells_that_an_app_password_was_pasted(ada: Client, db):
    Provider.objects.create(key="g", name="G", smtp_host="smtp.gmail.com", authentication="app_password")
    assert post(ada, "create", host="smtp.gmail.com", password="abcd efgh ijkl").status_code == 204
    assert MailServer.objects.get().password.reveal() == "abcdefghijkl"


@pytest.mark.proves("B3", "C6")
def test_a_service_that_takes_no_passwords_never_shows_a_password_field(ada: Client, db):
    microsoft = Provider.objects.create(
        key="m",
        name="Microsoft 365",
        smtp_host="smtp.office365.com",
        authentication="oauth",
        hint="Not offered here yet.",
    )
    page = post(ada, "service-new", provider=str(microsoft.pk)).content.decode()
    assert "Not offered here yet." in page
    assert 'type="password"' not in page
    answer = post(ada, "create", provider=str(microsoft.pk))
    assert answer.status_code == 422
    assert answer.context["form"].errors["provider"] == ["Not offered here yet."]


def test_another_organizations_provider_is_not_offered(ada: Client, other_organization: Organization):
    theirs = Provider.objects.create(
        organization=other_organization, key="t", name="Theirs", smtp_host="smtp.t.example"
    )
    assert "Theirs" not in ada.get(reverse("mailservers:create"), headers=HTMX).content.decode()
    assert post(ada, "create", provider=str(theirs.pk)).status_code == 422


@pytest.mark.proves("B5")
def test_an_edit_of_the_connection_shows_as_changed_since_the_last_check(ada: Client, server: MailServer):
    from django.utils import timezone

    server.note_check({"ok": True, "steps": [], "diagnosis": None, "server_response": ""}, timezone.now())
    card = reverse("mailservers:card", args=[server.pk])
    assert "Works, checked" in ada.get(card).content.decode()
    post(ada, "edit", server.pk, **{**stored_as(server), "name": "Renamed"})
    assert "Works, checked" in ada.get(card).content.decode()
    post(ada, "edit", server.pk, **{**stored_as(server), "username": "other@example.org"})
    assert "Changed since last check" in ada.get(card).content.decode()


@pytest.mark.proves("B5")
def test_a_card_says_why_its_server_is_broken(ada: Client, server: MailServer):
    from django.utils import timezone

    diagnosis = {"title": "The certificate has expired.", "causes": [{"cure": "Renew <it>."}]}
    server.note_check({"ok": False, "steps": [], "diagnosis": diagnosis, "server_response": ""}, timezone.now())
    page = ada.get(reverse("mailservers:card", args=[server.pk])).content.decode()
    assert "The certificate has expired." in page
    assert "Renew &lt;it&gt;." in page


@pytest.mark.proves("B1", "B5")
def test_the_section_takes_as_many_queries_for_many_servers_as_for_one(
    ada: Client, make_server, make_mailbox, assert_queries
):
    make_server("First")
    numbers = iter(range(100))

    def grow() -> None:
        server = make_server(f"Server {next(numbers)}")
        make_mailbox(f"box{next(numbers)}@example.org", mail_server=server)

    assert_queries.constant(lambda: ada.get(reverse("mailservers:section")), grow)


URLS = ["section", "create", "card", "edit", "delete", "test-message", "service-new", "check-new", "service", "check"]
WITH_SERVER = {"card", "edit", "delete", "test-message", "service", "check"}
POSTED = {"service-new", "check-new", "service", "check"}


def ask(client: Client, name: str, server: MailServer):
    url = reverse(f"mailservers:{name}", args=[server.pk] if name in WITH_SERVER else [])
    return client.post(url, VALUES, headers=HTMX) if name in POSTED else client.get(url)


@pytest.mark.parametrize("name", URLS)
def test_without_the_operation_every_page_answers_403(name: str, client_of, charlie: User, server: MailServer):
    assert ask(client_of(charlie), name, server).status_code == 403


@pytest.mark.parametrize("name", sorted(WITH_SERVER))
def test_another_organizations_server_answers_404(name: str, client_of, dana: User, server: MailServer):
    assert ask(client_of(dana), name, server).status_code == 404


@pytest.mark.parametrize("name", sorted(set(URLS) - {"check", "check-new"}))
def test_the_operation_alone_is_enough(name: str, client_of, charlie: User, server: MailServer):
    OperationGrant.objects.create(operation=Operation.MANAGE_MAIL_SERVERS, user=charlie)
    assert ask(client_of(charlie), name, server).status_code == 200


@pytest.mark.parametrize("name", URLS)
def test_nobody_gets_in_without_signing_in(name: str, client: Client, server: MailServer):
    answer = ask(client, name, server)
    assert "/account/login/" in answer.headers.get("HX-Redirect", answer.headers.get("Location", ""))
    assert answer.content == b""


@pytest.mark.parametrize("method", ["edit", "delete"])
def test_another_organizations_server_cannot_be_changed(method: str, client_of, dana: User, server: MailServer):
    assert post(client_of(dana), method, server.pk).status_code == 404
    assert MailServer.objects.get().name == "Production"


def test_a_dialog_opened_by_its_address_is_a_whole_page(ada: Client, server: MailServer):
    page = ada.get(reverse("mailservers:edit", args=[server.pk])).content.decode()
    assert "<html" in page
    assert "Edit mail server" in page
    answer = ada.post(reverse("mailservers:edit", args=[server.pk]), stored_as(server))
    assert answer.status_code == 302
    assert answer.headers["Location"] == reverse("email-settings")


@pytest.mark.proves("J1")
def test_a_password_whose_key_is_gone_is_asked_for_again_in_the_dialog(ada, server, settings):
    settings.ENCRYPTION_KEYS = "other:" + base64.b64encode(bytes(32)).decode()
    assert ada.get(reverse("mailservers:edit", args=[server.pk])).status_code == 200
    for view in ("edit", "check"):
        answer = post(ada, view, server.pk, **stored_as(server))
        assert answer.status_code == 422
        assert "can no longer be opened" in answer.content.decode()
    assert post(ada, "edit", server.pk, **stored_as(server) | {"password": "typed again"}).status_code == 204
    assert MailServer.objects.get().password.reveal() == "typed again"


def test_a_form_sent_before_the_page_was_ready_leads_back_to_it(ada: Client, db):
    headers = {"Accept": "text/html,*/*;q=0.8", "Referer": "http://testserver//evil.example/page"}
    answer = ada.post(reverse("mailservers:check-new"), VALUES, headers=headers)
    assert (answer.status_code, answer["Location"]) == (303, "/evil.example/page")
    assert "Please press it once more." in ada.get(reverse("email-settings")).content.decode()


@pytest.mark.proves("J1")
def test_saving_other_values_writes_back_no_password_that_was_sealed_anew_meanwhile(ada: Client, server: MailServer):
    form = MailServerForm({**stored_as(server), "name": "Renamed"}, instance=server, organization=server.organization)
    assert form.is_valid()
    fresh = MailServer.objects.get(pk=server.pk)
    fresh.password = Secret("sealed anew")
    fresh.save(update_fields=["password"])
    form.save()
    server = MailServer.objects.get(pk=server.pk)
    assert (server.name, server.password.reveal()) == ("Renamed", "sealed anew")
