"""`/mailboxes`, `/messages`, `/discovery` and access, in JSON (spec C4, E4 to E12, F1, G1, L1)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Mailbox, MailboxGrant
from mailservers.models import MailServer
from mailstore import folder_list, schedule
from mailstore.models import Folder, SyncSchedule
from organizations.models import AuditEntry, Role
from protocols.errors import LoginRefused, Unreachable
from tests.api.conftest import Api, assert_problem, fields
from tests.mailstore.panel.conftest import html_mail, mail, mail_with_files

pytestmark = pytest.mark.proves("L1")


@pytest.fixture
def api(api_of, alice, mailbox) -> Api:
    return api_of(alice)


def test_an_administrator_adds_an_account(api_of, administrator, organization):
    server = MailServer.objects.create(organization=organization, name="Office", host="smtp.example.org")
    body = {"address": "sales@example.org", "display_name": "Sales", "mail_server": server.pk, "is_default": True}
    answer = api_of(administrator).post("/mailboxes", body)
    assert answer.status_code == 201
    assert (answer.data["owner"], answer.data["is_default"], answer.data["can_send"]) == (None, True, True)
    assert fields(api_of(administrator).post("/mailboxes", body)) == ["address"]


def test_settings_are_changed_together_or_not_at_all(api, mailbox):
    changed = api.patch(f"/mailboxes/{mailbox.pk}", {"display_name": "Al", "sync_interval": 15, "downloads": False})
    assert changed.status_code == 200
    assert changed.data["settings"] | {"sync_interval": 15, "downloads": False} == changed.data["settings"]
    assert AuditEntry.objects.get(action="mailbox.changed").detail["fields"] == [
        "display_name",
        "downloads",
        "sync_interval",
    ]
    wrong = {"display_name": "No", "imap_host": "imap.elsewhere.example", "smtp_port": 70000}
    assert "smtp_port" in fields(api.patch(f"/mailboxes/{mailbox.pk}", wrong))
    assert fields(api.patch(f"/mailboxes/{mailbox.pk}", {"display_name": "No", "imap_host": "imap.else.example"})) == [
        "password"
    ]
    mailbox.refresh_from_db()
    assert (mailbox.display_name, mailbox.imap_host, mailbox.smtp_port) == ("Al", "imap.example.org", 465)


@pytest.mark.proves("E8")
def test_the_language_of_the_mail_is_shown_and_changed(api, mailbox):
    assert api.get(f"/mailboxes/{mailbox.pk}").data["settings"]["language"] == ""
    assert api.patch(f"/mailboxes/{mailbox.pk}", {"language": "it"}).data["settings"]["language"] == "it"
    assert fields(api.patch(f"/mailboxes/{mailbox.pk}", {"language": "tlh"})) == ["language"]
    assert api.patch(f"/mailboxes/{mailbox.pk}", {"language": ""}).data["settings"]["language"] == ""


def test_an_empty_change_changes_nothing(api, mailbox):
    before = Mailbox.objects.values().get(pk=mailbox.pk)
    assert api.patch(f"/mailboxes/{mailbox.pk}", {}).status_code == 200
    assert Mailbox.objects.values().get(pk=mailbox.pk) == before


def test_what_needs_another_right_is_refused_by_field(api, mailbox):
    assert fields(api.patch(f"/mailboxes/{mailbox.pk}", {"is_default": True, "mail_server": None})) == [
        "is_default"
    ] or fields(api.patch(f"/mailboxes/{mailbox.pk}", {"mail_server": None})) == ["mail_server"]
    mailbox.refresh_from_db()
    assert not mailbox.is_default


@pytest.mark.proves("J1")
def test_settings_are_shown_to_whom_may_change_them_without_the_password(api, api_of, bob, shared_mailbox):
    shown = api.get(f"/mailboxes/{shared_mailbox.pk}")
    assert shown.data["settings"]["has_password"] is True
    assert b"mailbox-password" not in shown.content
    reader = api_of(bob).get(f"/mailboxes/{shared_mailbox.pk}").data
    assert (reader["settings"], reader["rights"]) == (None, ["access"])


def test_a_sync_is_asked_for(api, mailbox):
    answer = api.post(f"/mailboxes/{mailbox.pk}/sync")
    assert (answer.status_code, answer.data["state"]) == (202, "waiting")
    assert SyncSchedule.objects.get(mailbox=mailbox).requested_at is not None
    assert api.get(f"/mailboxes/{mailbox.pk}/sync").status_code == 200
    Mailbox.objects.update(imap_host="")
    assert_problem(api.post(f"/mailboxes/{mailbox.pk}/sync"), 409, "only-sends")


@pytest.mark.proves("G7")
def test_a_sync_names_its_holder_to_whom_may_take_it_away(api, api_of, bob, shared_mailbox):
    path = f"/mailboxes/{shared_mailbox.pk}/sync"
    SyncSchedule.objects.update(due_at=timezone.now())
    fence = SyncSchedule.objects.claim(shared_mailbox.pk, timezone.now(), holder="worker7, process 4711")
    shown = api.get(path).data
    assert (shown["state"], shown["holder"]) == ("syncing", "worker7, process 4711")
    assert shown["started_at"]
    assert api_of(bob).get(path).data["holder"] == ""
    for _ in range(2):  # harmless when repeated
        assert api.post(f"{path}/release").data["state"] != "syncing"
    assert SyncSchedule.objects.get(mailbox=shared_mailbox).fence == fence + 1


@pytest.mark.proves("E10")
def test_a_mailbox_is_paused_and_resumed(api, mailbox):
    path = f"/mailboxes/{mailbox.pk}"
    for _ in range(2):  # harmless when repeated
        assert api.post(f"{path}/pause").data["state"] == "paused"
    assert api.post(f"{path}/resume").data["state"] == "connected"
    actions = AuditEntry.objects.filter(action__startswith="mailbox.").order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["mailbox.paused", "mailbox.resumed"]
    Mailbox.objects.update(login_refusals=1, paused_at=timezone.now())
    assert_problem(api.post(f"{path}/resume"), 409, "password-refused")
    assert Mailbox.objects.get().paused_at is not None


@pytest.mark.proves("E7")
def test_folders_are_chosen(api, bob, mailbox, make_mailbox):
    inbox, projects, junk = (
        make_folder(mailbox, name, special_use=use, is_followed=use != "junk").pk
        for name, use in {"INBOX": "inbox", "Projects": "", "Junk": "junk"}.items()
    )
    path, only_inbox = f"/mailboxes/{mailbox.pk}/folders", {"all_folders": False, "folders": [inbox]}
    assert api.patch(path, {}).data == {"all_folders": True, "folders": [inbox, projects]}
    assert not AuditEntry.objects.filter(action="mailbox.changed").exists()
    assert api.patch(path, {"folders": [junk]}).data == {"all_folders": True, "folders": [inbox, projects, junk]}
    assert api.patch(path, only_inbox).data == only_inbox
    assert [one["is_followed"] for one in api.get(path).data["items"]] == [True, False, False]
    assert fields(api.patch(path, {"folders": []})) == ["folders"]
    foreign = make_folder(make_mailbox("bob@example.org", bob), "INBOX")
    assert fields(api.patch(path, {"folders": [foreign.pk]})) == ["folders"]
    assert AuditEntry.objects.filter(action="mailbox.changed").count() == 2


@pytest.mark.proves("E7")
def test_the_server_is_asked_for_its_folders(api, mailbox, monkeypatch):
    make_folder(mailbox, "INBOX", special_use="inbox")

    def refresh(mailbox):
        make_folder(mailbox, "Projects")
        return 2

    monkeypatch.setattr(folder_list, "refresh_folders", refresh)
    answer = api.post(f"/mailboxes/{mailbox.pk}/folders/refresh").data
    assert (answer["listed"], [folder["name"] for folder in answer["added"]]) == (2, ["Projects"])


def test_a_server_that_does_not_give_its_folders_is_explained_and_a_refused_password_not_tried(
    api, mailbox, monkeypatch
):
    tried = []

    def refresh(mailbox):
        tried.append(mailbox)
        raise Unreachable("nobody is there")

    monkeypatch.setattr(folder_list, "refresh_folders", refresh)
    path = f"/mailboxes/{mailbox.pk}/folders/refresh"
    answer = api.post(path)
    assert_problem(answer, 422, "mail-server")
    assert answer.data["diagnosis"]["title"] == answer.data["title"]
    Mailbox.objects.update(login_refusals=1)
    assert_problem(api.post(path), 409, "password-refused")
    Mailbox.objects.update(login_refusals=0, imap_host="")
    assert_problem(api.post(path), 409, "only-sends")
    assert len(tried) == 1


@pytest.mark.proves("R16")
def test_a_password_that_is_refused_to_the_api_counts_and_is_left_to_a_sync(api, mailbox, monkeypatch):
    tried = []

    def refresh(mailbox):
        tried.append(mailbox)
        raise LoginRefused("no", reply="NO [AUTHENTICATIONFAILED] no")

    monkeypatch.setattr(folder_list, "refresh_folders", refresh)
    schedule.ensure(mailbox)
    path = f"/mailboxes/{mailbox.pk}/folders/refresh"
    assert_problem(api.post(path), 422, "mail-server")
    due_at = SyncSchedule.objects.get(mailbox=mailbox).due_at
    for _ in range(3):
        answer = api.post(path)
        assert_problem(answer, 409, "password-refused")
        assert "The next sync tries it once more, not before " in answer.data["detail"]
    assert (len(tried), Mailbox.objects.get().login_refusals) == (1, 1)
    assert due_at > timezone.now() + timedelta(minutes=9)
    Mailbox.objects.update(paused_at=timezone.now(), login_refusals=2)
    assert "not tried again before the right one is stored" in api.post(path).data["detail"]


def make_folder(mailbox: Mailbox, name: str, **values: object) -> Folder:
    return Folder.objects.create(mailbox=mailbox, name=name, raw_name=name.encode(), delimiter="/", **values)


def test_a_message_is_read_with_its_octets_and_files(api, mailbox, deliver):
    message = deliver(mailbox, mail_with_files())
    shown = api.get(f"/messages/{message.pk}").data
    names = [file["filename"] for file in shown["attachments"]]
    assert "Rechnung März.pdf" in names
    raw = api.get(f"/messages/{message.pk}/raw")
    assert (raw["Content-Type"], raw.content) == ("message/rfc822", mail_with_files_octets(message))
    file = api.get(f"/messages/{message.pk}/attachments/{names.index('Rechnung März.pdf') + 1}")
    assert (file.content, file["X-Content-Type-Options"]) == (b"%PDF-1.4 x", "nosniff")
    assert_problem(api.get(f"/messages/{message.pk}/attachments/99"), 404, "not-found")


def mail_with_files_octets(message) -> bytes:
    from mailstore.packs import read_raw

    return read_raw(message)


def test_html_comes_cleaned(api, mailbox, deliver):
    hostile = '<p onclick="x()">Hi<script>alert(1)</script><img src="https://tracker.example/p.gif"></p>'
    html = api.get(f"/messages/{deliver(mailbox, html_mail(hostile)).pk}").data["html"]
    assert "Hi" in html
    assert not [word for word in ("script", "onclick", "tracker") if word in html]


def test_a_search_that_makes_no_sense_says_why(api, mailbox, deliver):
    deliver(mailbox, mail("Lunch"))
    assert [one["subject"] for one in api.get("/messages?q=lunch").data["items"]] == ["Lunch"]
    assert fields(api.get("/messages?q=before:yesterday")) == ["q"]
    assert fields(api.get("/messages?mailbox=999")) == ["mailbox"]


def test_a_search_in_a_folder_that_is_nowhere_says_so(api, mailbox, deliver):
    deliver(mailbox, mail("Here"))
    answer = api.get("/messages?q=in:nosuch")
    assert answer.status_code == 422
    assert "No folder is called nosuch. There are: INBOX." in str(answer.data["errors"])
    assert len(api.get("/messages?q=in:inbox").data["items"]) == 1


def test_an_address_is_recognised(api):
    assert api.get("/discovery?address=anna@unknown.example").data["source"] == "unknown"
    assert fields(api.get("/discovery?address=anna")) == ["address"]
    assert fields(api.get("/discovery")) == ["address"]


def test_of_two_receivers_one_of_whom_is_not_of_the_organization_neither_gets_anything(
    api_of, administrator, dana, organization, shared_mailbox
):
    ours = Role.objects.create(organization=organization, name="Sales")
    theirs = dana.roles.get()
    api, path = api_of(administrator), f"/mailboxes/{shared_mailbox.pk}/access"
    assert fields(api.post(path, {"person": dana.pk, "role": ours.pk, "rights": ["access"]})) == ["person"]
    assert fields(api.post(path, {"person": administrator.pk, "role": theirs.pk, "rights": ["access"]})) == ["role"]
    assert not MailboxGrant.objects.filter(role=ours).exists()
    assert not MailboxGrant.objects.filter(user=administrator).exists()


@pytest.mark.proves("F1", "F3")
def test_a_mailbox_is_shared_and_the_right_ends_at_once(api_of, administrator, bob, charlie, shared_mailbox):
    api, his, path = api_of(administrator), api_of(charlie), f"/mailboxes/{shared_mailbox.pk}/access"
    given = api.post(path, {"person": charlie.pk, "rights": ["access"]})
    assert given.status_code == 201
    grant = next(one for one in given.data["grants"] if one["person"] == charlie.pk)
    assert his.get(f"/mailboxes/{shared_mailbox.pk}").data["rights"] == ["access"]
    changed = api.patch(f"{path}/{grant['id']}", {"rights": ["access", "send"]})
    assert his.get(f"/mailboxes/{shared_mailbox.pk}").data["rights"] == ["access", "send"]
    assert changed.status_code == 200
    assert api.delete(f"{path}/{grant['id']}").status_code == 200
    assert_problem(his.get(f"/mailboxes/{shared_mailbox.pk}"), 404, "not-found")
    assert_problem(api.delete(f"{path}/{grant['id']}"), 404, "not-found")
    assert fields(api.post(path, {"rights": ["access"]})) == ["person"]
    for end in ("9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59Z"):  # no calendar reaches these in every time zone
        assert fields(api.post(path, {"person": charlie.pk, "rights": ["access"], "ends_at": end})) == ["ends_at"]
    assert api.patch(path, {"is_shared": False}).data["is_shared"] is False
    assert_problem(api_of(bob).get(f"/mailboxes/{shared_mailbox.pk}"), 404, "not-found")
    assert MailboxGrant.objects.filter(user=bob).exists()
