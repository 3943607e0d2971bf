"""A message that takes longer to leave than its lease lasts: it keeps its claim, and a lost one stops it at once."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from delivery import dispatching, ledger, sweeping
from delivery.forms import MAX_ATTACHMENTS_SIZE
from delivery.models import LEASE, OutboxRecipient, Route
from delivery.states import State
from delivery.tasks import submit_message
from protocols.smtp.octets import BLOCK
from tests.delivery.conftest import states
from tests.delivery.kill_points.bench import running_sink
from tests.servers.warm import WarmProcess

pytestmark = pytest.mark.django_db

LARGE = b"Subject: Large\r\nMessage-ID: <large@tests.example>\r\n\r\n" + (b"x" * 76 + b"\r\n") * (3 * BLOCK // 78)


@pytest.fixture
def large(make_message, sending_mailbox, alice):
    return make_message(sending_mailbox, alice, "bob@example.org", raw=LARGE)


@pytest.mark.proves("R25", "V5")
def test_a_claim_is_renewed_while_octets_leave(large, sink, monkeypatch):
    monkeypatch.setattr(ledger, "KEPT_EVERY", 0.0)
    kept = ledger.Ledger.keep_claim
    overdue: list[int] = []

    def slowly(self: ledger.Ledger, octets: int) -> None:
        mine = OutboxRecipient.objects.filter(state=State.SENDING)
        mine.update(claimed_at=timezone.now() - LEASE + timedelta(minutes=1))
        kept(self, octets)
        overdue.append(mine.past_lease(timezone.now() + timedelta(minutes=2)).count())

    monkeypatch.setattr(ledger.Ledger, "keep_claim", slowly)
    submit_message(large.pk)
    assert states(large) == {"bob@example.org": State.SENT}
    assert len(overdue) >= 3
    assert set(overdue) == {0}


@pytest.mark.proves("V4", "R34")
def test_who_lost_the_claim_amid_a_message_stops_and_never_ends_it(large, sink, monkeypatch):
    monkeypatch.setattr(ledger, "KEPT_EVERY", 0.0)
    kept = ledger.Ledger.keep_claim

    def overtaken(self: ledger.Ledger, octets: int) -> None:
        sweeping.sweep(timezone.now() + LEASE + timedelta(minutes=1))
        kept(self, octets)

    with monkeypatch.context() as patch:
        patch.setattr(ledger.Ledger, "keep_claim", overtaken)
        submit_message(large.pk)
    assert sink.taken == []
    large.recipients.update(not_before=timezone.now())
    submit_message(large.pk)
    assert states(large) == {"bob@example.org": State.SENT}
    assert [taken.raw for taken in sink.taken] == [LARGE]


@pytest.mark.proves("V4", "V5")
def test_many_recipients_at_a_slow_server_keep_their_claim_and_hold_back_no_outcome(
    make_message, sending_mailbox, alice, sink, monkeypatch
):
    first = make_message(sending_mailbox, alice, "a@example.org")
    second = make_message(sending_mailbox, alice, *(f"u{each}@example.org" for each in range(5)))
    kept = ledger.Ledger.keep_claim
    seen: list[State] = []

    def slowly(self: ledger.Ledger, octets: int) -> None:
        if self.message.pk == second.pk and octets == 0:
            time.sleep(0.15)
            seen.append(states(first)["a@example.org"])
        kept(self, octets)

    monkeypatch.setattr(ledger.Ledger, "keep_claim", slowly)
    dispatching.Turn(Route.objects.leading(sending_mailbox)).take()
    assert (len(seen), seen[-1]) == (5, State.SENT)
    assert set(states(second).values()) == {State.SENT}


PEAK = """
from pathlib import Path
from delivery.tasks import submit_message
Path("/proc/self/clear_refs").write_text("5")  # the kernel measures the peak anew
submit_message({pk})
Path({file!r}).write_text(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.proves("R25")
def test_the_largest_mail_leaves_a_worker_of_less_than_200_megabytes(
    make_mailbox, make_message, alice, tmp_path, warm_process: WarmProcess
):
    raw = LARGE + (b"x" * 76 + b"\r\n") * (MAX_ATTACHMENTS_SIZE * 4 // 3 // 76)
    with running_sink("chunking", tmp_path) as sink:
        to_sink = {"smtp_host": "127.0.0.1", "smtp_port": sink.port, "smtp_security": "none", "imap_host": ""}
        message = make_message(make_mailbox("alice@example.org", alice, **to_sink), alice, "bob@example.org", raw=raw)
        code = PEAK.format(pk=message.pk, file=str(tmp_path / "peak"))
        assert warm_process.run(code, dials=[sink.port]) == 0
        assert sink.taken() == {("large@tests.example", "bob@example.org"): 1}
    assert states(message) == {"bob@example.org": State.SENT}
    peak = int((tmp_path / "peak").read_text()) / 1024
    assert peak < 200, f"{peak:.0f} MB for a mail of {len(raw) / 2**20:.0f}"
