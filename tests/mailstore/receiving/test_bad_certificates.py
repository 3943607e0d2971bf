"""A sync that cannot be sure of its server ends in words, and no password has left (fault R17, threats T5 and T6)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.utils import timezone

from accounts import sessions
from accounts.models import Mailbox, State
from mailservers.rulebook import load_rules
from mailstore import claiming, schedule, syncing
from mailstore.models import Message, SyncSchedule
from protocols.credentials import Secret
from protocols.network import Dialer, DialPolicy
from tests.servers import certificates
from tests.servers.scripted import scripted

pytestmark = pytest.mark.django_db

PASSWORD = "a-password-that-stays-here-77"
UNCERTAIN = {
    "expired": (certificates.expired, "certificate-expired"),
    "not valid yet": (certificates.not_yet_valid, "certificate-not-yet-valid"),
    "for another host": (lambda: certificates.good("elsewhere.test"), "certificate"),
    "self-signed": (certificates.self_signed, "certificate"),
    "of a stranger": (certificates.from_a_stranger, "certificate"),
}
WITHOUT_TLS = {
    "not offered": "S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\nC",
    "signed in before": "S: * PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] welcome\nC",
}


@pytest.fixture
def synced(make_mailbox: Callable[..., Mailbox], monkeypatch: pytest.MonkeyPatch) -> Callable[..., SyncSchedule]:
    """`synced(port, security)` syncs a mailbox at that server once."""
    load_rules()
    monkeypatch.setattr(sessions, "trust", certificates.trust)

    def sync(port: int, security: str) -> SyncSchedule:
        policy = DialPolicy(endpoints=frozenset({("127.0.0.1", port)}), names={certificates.NAME: "127.0.0.1"})
        monkeypatch.setattr(sessions, "dialer", lambda: Dialer(policy))
        mailbox = make_mailbox(
            "anna@example.org",
            imap_host=certificates.NAME,
            imap_port=port,
            imap_security=security,
            password=Secret(PASSWORD),
        )
        SyncSchedule.objects.update(due_at=timezone.now())
        claim = claiming.claim(mailbox.pk, timezone.now())
        assert claim is not None
        syncing.sync(mailbox.pk, claim.fence)
        return SyncSchedule.objects.select_related("mailbox").get()

    return sync


def assert_told(row: SyncSchedule, code: str) -> None:
    """The card says what is wrong in a sentence, nobody holds the mailbox, and nothing was stored."""
    assert row.leased_until is None
    assert row.due_at > timezone.now()
    assert not Message.objects.exists()
    assert row.mailbox.login_refusals == 0
    shown = schedule.progress(row, timezone.now())
    if shown.state == State.NEEDS_ATTENTION:
        assert row.mailbox.attention["code"].startswith(code)
        assert certificates.NAME in row.mailbox.attention["title"]
    else:
        assert (shown.state, bool(shown.waiting_for)) == (State.WAITING, True)
        assert certificates.NAME in shown.waiting_for


@pytest.mark.proves("R17", "V8")
@pytest.mark.parametrize("kind", UNCERTAIN)
def test_a_certificate_that_proves_nothing_ends_the_sync_before_the_password(synced, kind):
    context, code = UNCERTAIN[kind]
    with scripted("S: * OK [CAPABILITY IMAP4rev1] ready\nC", context=context(), tls=True) as server:
        row = synced(server.port, "tls")
        assert_told(row, code)
        assert PASSWORD.encode() not in server.plaintext
        assert not server.lines


@pytest.mark.proves("R17", "V8")
@pytest.mark.parametrize("kind", WITHOUT_TLS)
def test_a_server_that_leaves_out_starttls_gets_no_password(synced, kind):
    with scripted(WITHOUT_TLS[kind]) as server:
        row = synced(server.port, "starttls")
        assert_told(row, "starttls")
        assert not any(
            word in server.plaintext.upper() for word in (b"LOGIN ", b"AUTHENTICATE", PASSWORD.upper().encode())
        )
