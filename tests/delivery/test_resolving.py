"""Finding out what became of mail whose answer was lost, against servers that took it, and servers that did not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.models import Mailbox
from delivery import resolving
from delivery.models import Look, OutboxRecipient
from delivery.states import SentCopy, State
from delivery.tasks import look_for_uncertain, resolve_uncertain, submit_message, sweep_outbox
from mailstore.models import Folder, ThreadKey
from notifications.models import Notification
from organizations.models import AuditEntry
from protocols.message.threading import thread_key
from tests.delivery.conftest import states

pytestmark = pytest.mark.django_db

RECEIVED = b"Received: from mail.example.org by mx.example.org with ESMTPS; Sat, 21 Nov 2026 10:00:01 +0000\r\n"
SENT = {"bob@example.org": State.SENT}
UNSURE = {"bob@example.org": State.UNCERTAIN}


@pytest.fixture
def message(make_message, filing_mailbox, alice):
    return make_message(filing_mailbox, alice, "bob@example.org")


@pytest.fixture
def no_imap(make_message, sending_mailbox, alice):
    """A message from a mailbox that only sends: the quick one to look for."""
    return make_message(sending_mailbox, alice, "bob@example.org")


@pytest.fixture
def lose_answer(sink, time_machine):
    """`lose_answer(message)`: it is sent, and the line breaks before the answer; then a minute goes by."""

    def lose(message, how: str = "drop"):
        time_machine.move_to(timezone.now(), tick=True)
        sink.after_dot = how
        submit_message(message.pk)
        assert State.UNCERTAIN in states(message).values()
        sink.after_dot = "answer"
        time_machine.shift(timedelta(minutes=1))
        return message

    return lose


def looks(message) -> list[tuple[str, str]]:
    return [(look.result, look.verdict) for look in message.looks.all()]


@pytest.mark.proves("R19", "I3", "R21")
def test_what_the_provider_has_filed_was_sent(message, lose_answer, files_sent_mail, sink, in_sent):
    files_sent_mail()
    lose_answer(message)
    assert resolving.due(timezone.now()) == [message.pk]
    resolve_uncertain(message.pk)
    assert states(message) == SENT
    [look] = message.looks.all()
    assert (look.result, look.settled) == (Look.Result.SENT, 1)
    assert look.findings[0] == "Sent folder at 127.0.0.1: it is there."
    assert "Its trace was found." in message.recipients.get().note
    assert len(sink.taken) == len(in_sent()) == 1
    assert resolving.due(timezone.now() + timedelta(days=9)) == []
    told = Notification.objects.get(kind="message_uncertain")
    assert told.read_at is not None
    assert told.mail_due_at is None


@pytest.mark.proves("R19", "I3")
@pytest.mark.parametrize("how", ["drop", "forget"])
def test_what_left_no_trace_is_looked_for_at_five_times_and_never_sent_again(
    message, lose_answer, sink, how, time_machine
):
    lose_answer(message, how)
    began = message.recipients.get().state_at
    ages = []
    while planned := message.recipients.get().look_at:
        assert resolving.due(planned - timedelta(seconds=1)) == []
        time_machine.move_to(max(planned, timezone.now()), tick=True)
        ages.append(round((timezone.now() - began).total_seconds() / 60))
        resolve_uncertain(message.pk)
        submit_message(message.pk)
    assert ages == [1, 5, 30, 120, 1440]
    assert states(message) == UNSURE
    assert {result for result, _ in looks(message)} == {Look.Result.NOTHING}
    assert len(sink.taken) == (how == "drop")
    assert sink.connections == 1


@pytest.mark.proves("R19")
def test_taken_or_not_looks_the_same_until_a_trace_is_found(make_message, sending_mailbox, alice, lose_answer):
    rows = []
    for how in ("drop", "forget"):
        one = lose_answer(make_message(sending_mailbox, alice, "bob@example.org"), how)
        attempt, recipient = one.attempts.get(), one.recipients.get()
        rows.append((recipient.state, recipient.note, recipient.last_reply, attempt.code, attempt.text, attempt.phase))
    assert rows[0] == rows[1]


def test_two_workers_make_one_look(no_imap, lose_answer):
    lose_answer(no_imap)
    look_for_uncertain()
    for _ in range(3):
        resolve_uncertain(no_imap.pk)
    assert no_imap.looks.count() == 1


def test_a_look_whose_worker_died_is_made_by_the_next(no_imap, lose_answer, time_machine, monkeypatch):
    lose_answer(no_imap)

    class Killed(BaseException):
        pass

    def die(_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("delivery.looking.look", die)
        with pytest.raises(Killed):
            resolve_uncertain(no_imap.pk)
    assert resolving.due(timezone.now()) == []
    time_machine.shift(resolving.LEASE)
    assert resolving.due(timezone.now()) == [no_imap.pk]


@pytest.mark.proves("R19")
def test_a_server_that_is_away_is_told_of_and_asked_again_for_a_week(message, lose_answer, may_dial, time_machine):
    lose_answer(message)
    Mailbox.objects.update(imap_host="127.0.0.2")
    while planned := message.recipients.get().look_at:
        time_machine.move_to(planned, tick=True)
        resolve_uncertain(message.pk)
    results = [result for result, _ in looks(message)]
    assert set(results) == {Look.Result.PREVENTED}
    assert len(results) == pytest.approx(5 + 6 * 4, abs=2)
    assert "The Sent folder could not be looked in" in message.looks.first().findings[0]
    assert states(message) == UNSURE


@pytest.mark.proves("R16", "R19")
def test_a_login_that_is_refused_for_a_look_counts_and_is_not_tried_for_the_next(message, lose_answer, dovecot):
    lose_answer(message)
    mailbox = Mailbox.objects.get()
    mailbox.imap_username = "nobody@nowhere.example"
    mailbox.login_refusals = 1
    mailbox.save()
    before = dovecot.log.read_text().count("nobody@nowhere.example")
    resolve_uncertain(message.pk)
    assert dovecot.log.read_text().count("nobody@nowhere.example") == before
    assert looks(message)[0][0] == Look.Result.PREVENTED


@pytest.mark.proves("R19")
def test_a_copy_that_arrived_at_one_of_us_proves_it(no_imap, lose_answer, make_mailbox, bob, stored):
    lose_answer(no_imap)
    inbox = make_mailbox("bob@example.org", bob)
    arrived = stored(inbox, RECEIVED + bytes(no_imap.raw))
    arrived.message_id = no_imap.message_id.strip("<>")
    arrived.save()
    resolve_uncertain(no_imap.pk)
    assert states(no_imap) == SENT
    assert "Stored mail: it arrived in bob@example.org." in no_imap.looks.get().findings


def test_the_mail_of_another_organization_proves_nothing(no_imap, lose_answer, make_mailbox, dana, stored):
    lose_answer(no_imap)
    arrived = stored(make_mailbox("dana@elsewhere.example", dana), RECEIVED + bytes(no_imap.raw))
    arrived.message_id = no_imap.message_id.strip("<>")
    arrived.save()
    resolve_uncertain(no_imap.pk)
    assert states(no_imap) == UNSURE


@pytest.mark.proves("R19", "I6")
def test_a_synced_copy_that_the_server_filed_proves_it_and_one_of_ours_does_not(
    make_message, sending_mailbox, alice, lose_answer, stored
):
    for filed_by_us, end in ((0, SENT), (1, UNSURE)):
        one = lose_answer(make_message(sending_mailbox, alice, "bob@example.org", sent_copy_tries=filed_by_us))
        copy = stored(sending_mailbox, bytes(one.raw))
        copy.message_id = one.message_id.strip("<>")
        copy.folder, _ = Folder.objects.get_or_create(
            mailbox=sending_mailbox, raw_name=b"Sent", defaults={"special_use": "sent"}
        )
        copy.save()
        resolve_uncertain(one.pk)
        assert states(one) == end


@pytest.mark.proves("R19")
@pytest.mark.parametrize("field", ["In-Reply-To", "References"])
def test_an_answer_proves_that_it_arrived(no_imap, lose_answer, stored, sending_mailbox, field):
    lose_answer(no_imap)
    bare = no_imap.message_id.strip("<>")
    raw = f"From: bob@example.org\r\n{field}: <{bare}>\r\nMessage-ID: <answer@partner.example>\r\n\r\nThanks\r\n"
    answer = stored(sending_mailbox, raw.encode())
    key = {"mailbox": sending_mailbox, "key": thread_key(bare), "conversation": answer.conversation}
    ThreadKey.objects.create(**key)
    resolve_uncertain(no_imap.pk)
    assert states(no_imap) == SENT
    assert "Stored mail: another message refers to it." in no_imap.looks.get().findings


@pytest.mark.proves("F3")
def test_an_answer_of_a_recipient_in_the_mailbox_that_sent_it_is_named(no_imap, lose_answer, stored, sending_mailbox):
    lose_answer(no_imap)
    bare = no_imap.message_id.strip("<>")
    raw = f"From: bob@example.org\r\nIn-Reply-To: <{bare}>\r\nMessage-ID: <answer@partner.example>\r\n\r\nThanks\r\n"
    answer = stored(sending_mailbox, raw.encode())
    answer.from_address = "Bob@example.org"
    answer.save()
    ThreadKey.objects.create(mailbox=sending_mailbox, key=thread_key(bare), conversation=answer.conversation)
    resolve_uncertain(no_imap.pk)
    assert "Stored mail: a message from Bob@example.org refers to it." in no_imap.looks.get().findings


@pytest.mark.proves("F3")
def test_mailboxes_and_correspondents_of_others_are_not_named(no_imap, lose_answer, make_mailbox, bob, stored):
    lose_answer(no_imap)
    bare = no_imap.message_id.strip("<>")
    private = make_mailbox("secret-project@example.org", bob)
    arrived = stored(private, RECEIVED + bytes(no_imap.raw))
    arrived.message_id = bare
    arrived.save()
    raw = f"From: rival@elsewhere.example\r\nReferences: <{bare}>\r\nMessage-ID: <aside@x.example>\r\n\r\nSo\r\n"
    aside = stored(private, raw.encode())
    aside.message_id, aside.from_address = "aside@x.example", "rival@elsewhere.example"
    aside.save()
    ThreadKey.objects.create(mailbox=private, key=thread_key(bare), conversation=aside.conversation)
    resolve_uncertain(no_imap.pk)
    look = no_imap.looks.get()
    assert "Stored mail: it arrived in another mailbox of this organization." in look.findings
    assert "Stored mail: another message refers to it." in look.findings
    assert not any(word in f"{look.findings} {look.verdict}" for word in ("secret-project", "rival"))


@pytest.mark.proves("R19", "I3")
def test_what_was_partly_sent_before_is_not_settled_by_the_copy_of_that(
    make_message, filing_mailbox, alice, lose_answer, files_sent_mail, sink
):
    message = make_message(filing_mailbox, alice, "bob@example.org", "carol@example.org")
    files_sent_mail()
    sink.recipients = {"carol@example.org": "450 4.2.0 Later"}
    submit_message(message.pk)
    sink.recipients = {}
    message.recipients.filter(state=State.QUEUED).update(not_before=timezone.now())
    lose_answer(message, "forget")
    resolve_uncertain(message.pk)
    assert states(message) == {"bob@example.org": State.SENT, "carol@example.org": State.UNCERTAIN}
    assert looks(message)[0][0] == Look.Result.UNCLEAR


@pytest.mark.proves("I6")
def test_a_copy_is_filed_once_a_trace_has_shown_that_it_was_sent(
    make_message, filing_mailbox, alice, lose_answer, files_sent_mail, in_sent
):
    message = make_message(filing_mailbox, alice, "bob@example.org", sent_copy=SentCopy.WAITING)
    files_sent_mail(known=False, mark=RECEIVED)
    lose_answer(message)
    assert resolving.resolve(message.pk).copy
    sweep_outbox()
    message.refresh_from_db()
    assert message.sent_copy_not_before is not None
    assert len(in_sent()) == 1


def test_the_moments_of_looking_do_not_gather_after_an_outage():
    since = datetime(2026, 11, 21, 10, tzinfo=UTC)
    late = since + timedelta(hours=1)
    assert resolving.next_look(since, late, prevented=False) == since + timedelta(hours=2)
    assert resolving.next_look(since, since + timedelta(days=2), prevented=False) is None
    assert resolving.next_look(since, since + timedelta(days=8), prevented=True) is None


# --- Twice over never ---------------------------------------------------------------------------------------------


@pytest.fixture
def retrying(sending_mailbox):
    Mailbox.objects.update(retries_uncertain=True)
    return sending_mailbox


@pytest.mark.proves("I3", "R19")
def test_a_mailbox_that_wants_it_sends_again_once_under_the_same_message_id(
    retrying, no_imap, lose_answer, sink, time_machine
):
    lose_answer(no_imap)
    resolve_uncertain(no_imap.pk)
    assert states(no_imap) == UNSURE
    time_machine.shift(timedelta(minutes=4))
    assert resolving.resolve(no_imap.pk).submission
    assert states(no_imap) == {"bob@example.org": State.QUEUED}
    assert AuditEntry.objects.filter(action="outbox.retried_uncertain", actor=None).count() == 1
    lose_answer(no_imap)
    for _ in range(5):
        time_machine.shift(timedelta(days=1))
        resolve_uncertain(no_imap.pk)
        submit_message(no_imap.pk)
    assert states(no_imap) == UNSURE
    assert [taken.raw for taken in sink.taken] == [bytes(no_imap.raw)] * 2


def test_a_mailbox_that_wants_it_waits_while_nothing_could_be_looked_at(message, lose_answer, may_dial, time_machine):
    lose_answer(message)
    Mailbox.objects.update(retries_uncertain=True, imap_host="127.0.0.2")
    for _ in range(3):
        resolve_uncertain(message.pk)
        time_machine.shift(timedelta(hours=3))
    assert states(message) == UNSURE


@pytest.mark.proves("R38")
def test_what_a_restored_backup_made_uncertain_is_never_sent_again_by_itself(retrying, no_imap, time_machine):
    time_machine.move_to(timezone.now(), tick=True)
    OutboxRecipient.objects.all().move(State.QUEUED, State.UNCERTAIN, timezone.now())
    for _ in range(4):
        time_machine.shift(timedelta(minutes=40))
        resolve_uncertain(no_imap.pk)
    assert no_imap.looks.count() >= 2
    assert states(no_imap) == UNSURE
