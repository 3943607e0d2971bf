"""The copy in Sent, against a real Dovecot: once, found by its Message-ID first, never a reason to send again."""

from __future__ import annotations

import tracemalloc
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox
from delivery import deciding, sent_copy, submission, sweeping
from delivery.models import LEASE, OutboxMessage, OutboxMessageQuerySet, OutboxOctets
from delivery.states import SentCopy, State
from delivery.tasks import file_sent_copy, resolve_uncertain, submit_message, sweep_outbox
from mailstore.models import SyncSchedule
from protocols.credentials import Secret
from protocols.errors import Refused
from protocols.imap.session import ImapSession, open_session
from providers.models import Provider
from tests.delivery.conftest import states

pytestmark = pytest.mark.django_db


@pytest.fixture
def message(make_message, filing_mailbox, alice):
    return make_message(filing_mailbox, alice, "bob@example.org", sent_copy=SentCopy.WAITING)


def copy_of(message: OutboxMessage) -> tuple[str, str]:
    message.refresh_from_db()
    return message.sent_copy, message.sent_copy_note


@pytest.mark.proves("I6")
def test_the_copy_is_filed_once_seen_and_shows_at_the_next_sync(
    message, in_sent, django_capture_on_commit_callbacks, monkeypatch
):
    monkeypatch.setattr("mailstore.schedule._nudge", lambda pk: None)
    with django_capture_on_commit_callbacks(execute=True):
        submit_message(message.pk)
    for _ in range(3):
        file_sent_copy(message.pk)
    [(raw, flags)] = in_sent()
    assert raw == bytes(message.raw)
    assert r"\seen" in {flag.lower() for flag in flags}
    assert copy_of(message) == (SentCopy.FILED, "")
    assert SyncSchedule.objects.get(mailbox=message.mailbox).due_at <= timezone.now()


@pytest.mark.proves("R21", "I6")
def test_a_copy_that_the_server_has_filed_itself_is_found_and_left_alone(message, in_sent, dovecot, login):
    with open_session(dovecot.endpoint(), login, dialer=dovecot.dialer) as session:
        session.append(b"Sent", bytes(message.raw))
    submit_message(message.pk)
    file_sent_copy(message.pk)
    assert len(in_sent()) == 1
    assert copy_of(message) == (SentCopy.FILED, "")


@pytest.mark.proves("R2", "I6")
def test_a_worker_that_died_after_the_append_leaves_one_copy(message, in_sent, monkeypatch, time_machine):
    time_machine.move_to(timezone.now(), tick=True)

    class Killed(BaseException):
        pass

    def die(name: str) -> None:
        raise Killed(name)

    submit_message(message.pk)
    with monkeypatch.context() as patch:
        patch.setattr(sent_copy, "faultpoint", die)
        with pytest.raises(Killed, match="copy appended"):
            file_sent_copy(message.pk)
    assert copy_of(message)[0] == SentCopy.FILING
    file_sent_copy(message.pk)
    assert copy_of(message)[0] == SentCopy.FILING  # still held
    time_machine.shift(LEASE + timedelta(minutes=1))
    assert sweeping.sweep(timezone.now()).copies == [message.pk]
    file_sent_copy(message.pk)
    assert copy_of(message)[0] == SentCopy.FILED
    assert len(in_sent()) == 1


@pytest.mark.proves("I6")
def test_nothing_is_filed_before_anything_was_sent(message, in_sent):
    file_sent_copy(message.pk)
    sweep_outbox()
    assert in_sent() == []
    assert copy_of(message)[0] == SentCopy.WAITING


@pytest.mark.proves("I6")
def test_a_full_mailbox_fails_only_the_copy_and_a_person_can_try_again(message, in_sent, alice, monkeypatch, sink):
    def full(*args: object, **options: object) -> None:
        raise Refused("The server refused.", reply="[OVERQUOTA] Quota exceeded (mailbox for user is full)")

    submit_message(message.pk)
    with monkeypatch.context() as patch:
        patch.setattr(ImapSession, "append", full)
        file_sent_copy(message.pk)
    assert copy_of(message) == (SentCopy.FAILED, "The mail was sent; only the copy failed: the mailbox is full.")
    assert states(message) == {"bob@example.org": State.SENT}
    assert deciding.file_copy_again(message, alice, timezone.now()) == 1
    file_sent_copy(message.pk)
    assert copy_of(message) == (SentCopy.FILED, "")
    assert len(in_sent()) == len(sink.taken) == 1


@pytest.mark.proves("I6")
def test_a_server_that_cannot_be_reached_is_tried_again_and_then_says_so(
    message, filing_mailbox, may_dial, sink, time_machine
):
    time_machine.move_to(timezone.now(), tick=True)
    submit_message(message.pk)
    filing_mailbox.imap_host = "127.0.0.2"
    filing_mailbox.save()
    for _ in sent_copy.WAITS:
        file_sent_copy(message.pk)
        assert copy_of(message)[0] == SentCopy.WAITING
        assert "It is tried again." in copy_of(message)[1]
        time_machine.shift(timedelta(hours=2))
    file_sent_copy(message.pk)
    state, note = copy_of(message)
    assert state == SentCopy.FAILED
    assert note.startswith("The mail was sent; only the copy failed: ")


@pytest.mark.proves("I6")
def test_what_waited_for_a_paused_mailbox_has_all_its_tries_left_and_a_person_gives_them_anew(
    message, filing_mailbox, alice, time_machine
):
    time_machine.move_to(timezone.now(), tick=True)

    def file(times: int) -> str:
        for _ in range(times):
            file_sent_copy(message.pk)
            time_machine.shift(timedelta(hours=2))
        return copy_of(message)[0]

    submit_message(message.pk)
    filing_mailbox.paused_at = timezone.now()
    filing_mailbox.save()
    assert file(len(sent_copy.WAITS) + 1) == SentCopy.WAITING
    filing_mailbox.paused_at, filing_mailbox.imap_host = None, "127.0.0.2"
    filing_mailbox.save()
    assert file(len(sent_copy.WAITS)) == SentCopy.WAITING
    assert file(1) == SentCopy.FAILED
    deciding.file_copy_again(message, alice, timezone.now())
    assert file(len(sent_copy.WAITS)) == SentCopy.WAITING
    assert file(1) == SentCopy.FAILED


@pytest.mark.proves("D4")
def test_a_login_that_is_being_refused_is_not_tried_for_the_copy(message, filing_mailbox, dovecot):
    submit_message(message.pk)
    filing_mailbox.login_refusals = 1
    filing_mailbox.save()
    before = dovecot.log.read_text().count("Login: user")
    file_sent_copy(message.pk)
    assert copy_of(message)[0] == SentCopy.WAITING
    assert dovecot.log.read_text().count("Login: user") == before


@pytest.mark.proves("R16")
def test_a_login_that_is_refused_for_the_copy_counts_and_is_not_tried_for_the_next(message, filing_mailbox):
    submit_message(message.pk)
    filing_mailbox.password = Secret("wrong")
    filing_mailbox.save()
    file_sent_copy(message.pk)
    assert Mailbox.objects.get(pk=filing_mailbox.pk).login_refusals == 1
    state, note = copy_of(message)
    assert state == SentCopy.WAITING
    assert "The copy follows when the right password is stored." in note


@pytest.mark.proves("I6", "R21")
@pytest.mark.parametrize("files_itself", [True, False])
def test_where_the_provider_files_sent_mail_we_do_not(make_mailbox, alice, files_itself):
    provider = Provider.objects.create(key="some", name="Some", files_sent_mail=files_itself)
    mailbox = make_mailbox("alice@example.org", alice, provider=provider)
    assert sent_copy.wanted_by(mailbox) == (SentCopy.NOT_WANTED if files_itself else SentCopy.WAITING)


@pytest.mark.proves("R21", "I6")
def test_a_server_that_files_sent_mail_without_being_known_for_it_gets_no_second_copy(
    message, files_sent_mail, in_sent, sink
):
    files_sent_mail(known=False)
    submit_message(message.pk)
    file_sent_copy(message.pk)
    assert len(in_sent()) == len(sink.taken) == 1
    assert copy_of(message) == (SentCopy.FILED, "")


@pytest.mark.proves("R21", "I6")
def test_where_the_catalog_knows_it_the_copy_is_the_servers_alone(
    client_of, alice, filing_mailbox, files_sent_mail, in_sent, sink
):
    """From the composer on: nobody logs in to look, and nothing is filed by us."""
    files_sent_mail()
    values = {"mailbox": filing_mailbox.pk, "to": "bob@example.org", "subject": "Hello", "text": "Hello"}
    client_of(alice).post(reverse("delivery:compose"), values | {"submission_key": "one"})
    queued = OutboxMessage.objects.get()
    assert queued.sent_copy == SentCopy.NOT_WANTED
    queued.recipients.update(not_before=timezone.now())
    submit_message(queued.pk)
    for _ in range(2):
        file_sent_copy(queued.pk)
        sweep_outbox()
    assert [raw for raw, _ in in_sent()] == [sink.taken[0].raw]


@pytest.mark.proves("R25", "I6")
def test_the_copy_of_a_large_message_is_never_in_memory_whole(make_message, filing_mailbox, alice, in_sent):
    line = b"a line of a large message, as long as most lines of attachments in base64 are, or so..\r\n"
    raw = b"From: alice@example.org\r\nMessage-ID: <large@tests.example>\r\nSubject: Large\r\n\r\n" + line * 140_000
    message = make_message(
        filing_mailbox, alice, raw=raw, message_id="<large@tests.example>", sent_copy=SentCopy.WAITING
    )
    OutboxMessage.objects.all().want_copy(timezone.now())
    tracemalloc.start()
    try:
        assert sent_copy.file_copy(message.pk)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20 < len(raw)
    [(found, _)] = in_sent()
    assert found == raw


@pytest.fixture
def large(make_message, filing_mailbox, alice):
    """A sent message of several pieces, whose copy is due."""
    raw = b"Subject: Large\r\nMessage-ID: <large@tests.example>\r\n\r\n" + (b"x" * 76 + b"\r\n") * 10_000
    message = make_message(
        filing_mailbox, alice, raw=raw, message_id="<large@tests.example>", sent_copy=SentCopy.WAITING
    )
    OutboxMessage.objects.all().want_copy(timezone.now())
    return message


@pytest.mark.proves("R25", "V5", "I6")
def test_a_copy_that_leaves_slowly_keeps_its_claim(large, in_sent, monkeypatch):
    """Between two pieces nearly the whole lease passes."""
    keep, overdue = OutboxMessageQuerySet.keep_filing, []

    def slowly(self: OutboxMessageQuerySet, *claim: object) -> bool:
        OutboxMessage.objects.update(sent_copy_claimed_at=timezone.now() - LEASE + timedelta(minutes=1))
        kept = keep(self, *claim)
        overdue.append(sent_copy.give_back_abandoned(timezone.now() + timedelta(minutes=2), LEASE))
        return kept

    monkeypatch.setattr(OutboxMessageQuerySet, "keep_filing", slowly)
    assert sent_copy.file_copy(large.pk)
    assert overdue == [0, 0, 0]
    assert [raw for raw, _ in in_sent()] == [large.raw]


@pytest.mark.proves("R34", "I6")
@pytest.mark.parametrize("piece", [1, 3], ids=["before the first piece", "before the last piece"])
def test_who_was_overtaken_amid_a_copy_stops_and_files_no_second_one(large, in_sent, monkeypatch, piece):
    keep, pieces = OutboxMessageQuerySet.keep_filing, []

    def overtaken(self: OutboxMessageQuerySet, *claim: object) -> bool:
        pieces.append(claim)
        if len(pieces) == piece:  # the worker was paused past its lease; beat looks, and another one files the copy
            sweeping.sweep(timezone.now() + LEASE + timedelta(minutes=1))
            OutboxMessage.objects.update(sent_copy_not_before=timezone.now())
            assert sent_copy.file_copy(large.pk)
        return keep(self, *claim)

    monkeypatch.setattr(OutboxMessageQuerySet, "keep_filing", overtaken)
    assert not sent_copy.file_copy(large.pk)
    assert len(pieces) == piece + 3
    assert [raw for raw, _ in in_sent()] == [large.raw]
    assert copy_of(large) == (SentCopy.FILED, "")


@pytest.mark.proves("R34", "I6")
def test_an_answer_that_comes_after_the_lease_files_nothing_until_the_outcome_is_known(message, in_sent, monkeypatch):
    def pause(name: str) -> None:
        if name == "reply read":
            sweeping.sweep(timezone.now() + LEASE + timedelta(minutes=1))

    monkeypatch.setattr(submission, "faultpoint", pause)
    submit_message(message.pk)
    file_sent_copy(message.pk)
    assert states(message) == {"bob@example.org": State.UNCERTAIN}
    assert in_sent() == []
    message.recipients.update(look_at=timezone.now())
    for _ in range(2):
        resolve_uncertain(message.pk)
        file_sent_copy(message.pk)
    assert states(message) == {"bob@example.org": State.SENT}
    assert len(in_sent()) == 1


def test_a_copy_of_which_the_text_is_gone_ends_and_says_so(large, in_sent):
    OutboxOctets.objects.all().delete()
    assert not sent_copy.file_copy(large.pk)
    assert copy_of(large) == (SentCopy.FAILED, f"{sent_copy.ONLY_THE_COPY} its text is no longer kept.")
    assert in_sent() == []


@pytest.mark.parametrize(
    "reply",
    [
        "[OVERQUOTA] Not enough space",
        "Quota exceeded (mailbox for user is full)",
        "[LIMIT] Mailbox full",
        "Over quota",
    ],
)
def test_a_full_mailbox_is_recognised_by_code_or_words(reply):
    assert sent_copy._is_full(Refused("No.", reply=reply))


def test_other_refusals_are_no_full_mailbox():
    assert not sent_copy._is_full(Refused("No.", reply="[NOPERM] You may not write to this mailbox"))
