"""Reads of another person's settings, and tests of mailboxes, leave the lines that the pages leave (spec A8, L1)."""

from __future__ import annotations

import pytest

from accounts.models import Mailbox, MailboxGrant
from organizations.models import AuditEntry
from tests.accounts.conftest import mail_server, reach_loopback, rules, running_sandbox, sandbox
from tests.api.conftest import assert_problem
from tests.sandbox.running import ALICE

__all__ = ["mail_server", "reach_loopback", "rules", "running_sandbox", "sandbox"]

pytestmark = [pytest.mark.django_db, pytest.mark.proves("A8", "L1")]


def entries(action: str) -> list[tuple[str, str, str]]:
    found = AuditEntry.objects.filter(action=action).order_by("pk")
    return list(found.values_list("actor_label", "object_label", "outcome"))


@pytest.mark.parametrize("path", ["", "/access", "/signature"])
def test_who_reads_another_persons_settings_leaves_a_line(api_of, administrator, alice, mailbox, path):
    assert api_of(alice).get(f"/mailboxes/{mailbox.pk}{path}").status_code == 200
    assert entries("mailbox.settings_read") == []
    assert api_of(administrator).get(f"/mailboxes/{mailbox.pk}{path}").status_code == 200
    assert entries("mailbox.settings_read") == [("Ada", "alice@example.org", "done")]
    assert AuditEntry.objects.get(action="mailbox.settings_read").address == "127.0.0.1"


def test_folders_are_settings_for_who_does_not_read_the_mail(api_of, administrator, bob, mailbox):
    Mailbox.objects.update(is_shared=True)
    MailboxGrant.objects.create(mailbox=mailbox, user=bob, may_access=True)
    api_of(bob).get(f"/mailboxes/{mailbox.pk}/folders")
    assert entries("mailbox.settings_read") == []
    api_of(administrator).get(f"/mailboxes/{mailbox.pk}/folders")
    assert [who for who, _, _ in entries("mailbox.settings_read")] == ["Ada"]


def test_a_list_holds_no_settings_of_other_people(api_of, administrator, alice, mailbox, make_mailbox):
    ours = make_mailbox("sales@example.org", None)
    shown = {one["id"]: one["settings"] for one in api_of(administrator).get("/mailboxes").data["items"]}
    assert shown[mailbox.pk] is None
    assert shown[ours.pk] is not None
    assert api_of(alice).get("/mailboxes").data["items"][0]["settings"] is not None
    assert entries("mailbox.settings_read") == []


def test_changing_speaks_for_itself(api_of, administrator, mailbox):
    answer = api_of(administrator).patch(f"/mailboxes/{mailbox.pk}", {"sync_interval": 15})
    assert answer.data["settings"]["sync_interval"] == 15
    assert entries("mailbox.settings_read") == []
    assert [who for who, _, _ in entries("mailbox.changed")] == ["Ada"]


def test_a_check_is_kept_with_its_outcome(api_of, alice, sandbox):
    api = api_of(alice)
    made = api.post("/mailboxes/connect", {"address": ALICE, "password": sandbox.password}).data
    assert api.post(f"/mailboxes/{made['id']}/check").data["ok"] is True
    Mailbox.objects.update(imap_port=1)
    assert api.post(f"/mailboxes/{made['id']}/check").data["ok"] is False
    assert entries("mailbox.checked") == [("Alice", ALICE, "done"), ("Alice", ALICE, "failed")]


def test_a_check_of_unsaved_values_is_kept_too(api_of, administrator, mail_server, rules):
    body = {
        "address": "a@example.org", "display_name": "A", "mail_server": mail_server.pk, "imap_host": "127.0.0.1",
        "password": "typed-secret",
    }  # fmt: skip
    assert api_of(administrator).post("/mailboxes/check", body).data["ok"] is False
    assert entries("mailbox.checked") == [("Ada", "", "failed")]


def test_a_failed_attempt_to_connect_is_kept_without_the_secret(api_of, alice, sandbox):
    answer = api_of(alice).post("/mailboxes/connect", {"address": ALICE, "password": "wrong-typed-1"})
    assert_problem(answer, 422, "not-connected")
    assert entries("mailbox.connecting_failed") == [("Alice", "", "failed")] * 2
    details = [entry.detail for entry in AuditEntry.objects.filter(action="mailbox.connecting_failed").order_by("pk")]
    assert [(one["address"], one["connection"], one["step"]) for one in details] == [
        (ALICE, "reading", "login"),
        (ALICE, "sending", "login"),
    ]
    assert "wrong-typed-1" not in str(details)
