"""Looking at another person's settings, and testing a mailbox, stand in the audit log (spec A8)."""

from __future__ import annotations

import pytest

from organizations.models import AuditEntry

pytestmark = [pytest.mark.django_db, pytest.mark.proves("A8")]


def entries(action: str) -> list[tuple[str, str]]:
    return list(AuditEntry.objects.filter(action=action).values_list("actor_label", "object_label"))


@pytest.mark.parametrize("page", ["settings", "settings/send", "settings/access", "edit"])
def test_an_administrator_who_opens_a_persons_settings_leaves_a_line(client_of, administrator, alice, mailbox, page):
    assert client_of(alice).get(f"/mailboxes/{mailbox.pk}/{page}").status_code in (200, 403)
    assert entries("mailbox.settings_read") == []
    assert client_of(administrator).get(f"/mailboxes/{mailbox.pk}/{page}").status_code == 200
    assert entries("mailbox.settings_read") == [("Ada", "alice@example.org")]


def test_the_organizations_own_mailbox_is_nobodys_to_peek_at(client_of, administrator, shared_mailbox):
    client_of(administrator).get(f"/mailboxes/{shared_mailbox.pk}/settings")
    assert entries("mailbox.settings_read") == []


def test_a_test_of_the_connections_is_kept_with_its_outcome(client_of, alice, mailbox):
    values = {
        "imap_host": "127.0.0.1", "imap_port": "993", "imap_security": "tls", "imap_username": "", "password": "",
        "sends_by": "own", "smtp_host": "", "smtp_port": "465", "smtp_security": "tls", "smtp_username": "",
    }  # fmt: skip
    answer = client_of(alice).post(
        f"/mailboxes/{mailbox.pk}/settings/advanced/check",
        {**values, "password": "typed"},
        headers={"HX-Request": "true"},
    )
    assert answer.status_code == 200
    b"".join(answer.streaming_content)
    entry = AuditEntry.objects.get(action="mailbox.checked")
    assert (entry.object_label, entry.outcome) == ("alice@example.org", AuditEntry.Outcome.FAILED)
