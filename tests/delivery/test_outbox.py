"""The way in: what is asked for becomes rows, once, and nothing of it can be smuggled onto the wire."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta
from email import message_from_bytes
from email.utils import parsedate_to_datetime

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from accounts.models import MailboxGrant
from delivery import cancelling, deciding
from delivery.models import Attempt, OutboxMessage, OutboxRecipient, Route
from delivery.outbox import CannotBeQueued, KeyReused, MayNotSend, queue_message
from delivery.states import MOVES, IllegalMove, SentCopy, State, worst
from delivery.tasks import submit_message, sweep_outbox
from delivery.wanted import Wanted
from organizations.models import AuditEntry
from organizations.nudging import nudge
from protocols.message.addresses import Address
from protocols.message.build import Attachment
from tests.delivery.conftest import states
from tests.simultaneously import simultaneously

pytestmark = pytest.mark.django_db

BOB = Address("Bob", "bob@example.org")


@pytest.fixture
def queue(sending_mailbox, alice):
    """`queue(**changes)`: queue a plain mail from Alice to Bob."""

    def call(**changes: object) -> OutboxMessage:
        asked = {
            "author": alice,
            "mailbox": sending_mailbox,
            "to": [BOB],
            "subject": "Offer",
            "text": "Good morning\n",
            "submission_key": "form-1",
        }
        return queue_message(Wanted(**{**asked, **changes}))

    return call


@pytest.mark.proves("I1")
def test_a_queued_message_has_its_rows_and_frozen_octets_before_anything_is_sent(queue, sink):
    message = queue(cc=[Address("", "carol@example.org")])
    assert states(message) == {"bob@example.org": State.QUEUED, "carol@example.org": State.QUEUED}
    parsed = message_from_bytes(bytes(message.raw))
    assert parsed["Subject"] == "Offer"
    assert parsed["Message-ID"] == f"<{message.message_id}>"
    assert parsed["From"] == "Alice <alice@example.org>"
    assert sink.connections == 0


@pytest.mark.proves("I4", "R20")
def test_the_same_submission_twice_is_one_message(queue):
    assert queue().pk == queue().pk
    assert OutboxMessage.objects.count() == OutboxRecipient.objects.count() == 1


@pytest.mark.proves("I4", "R20")
@pytest.mark.parametrize(
    "change",
    [
        {"subject": "Another"},
        {"text": "Other words"},
        {"to": [Address("", "carol@example.org")]},
        {"bcc": [Address("", "carol@example.org")]},
        {"attachments": [Attachment("a.txt", "text/plain", b"a")]},
    ],
)
def test_the_same_key_with_other_content_is_refused_and_names_the_earlier_mail(queue, change):
    earlier = queue()
    with pytest.raises(KeyReused) as caught:
        queue(**change)
    assert caught.value.earlier == earlier
    assert OutboxMessage.objects.count() == 1


def test_keys_of_different_people_do_not_meet(queue, shared_mailbox, bob):
    MailboxGrant.objects.filter(user=bob).update(may_send=True)
    assert queue().pk != queue(author=bob, mailbox=shared_mailbox).pk


@pytest.mark.proves("T19", "F2")
def test_without_the_right_to_send_nothing_is_queued(queue, bob, charlie, dana, shared_mailbox):
    for stranger in (bob, charlie, dana):
        with pytest.raises(MayNotSend):
            queue(author=stranger, mailbox=shared_mailbox)
    assert OutboxMessage.objects.count() == 0


@pytest.mark.proves("E8")
def test_a_mailbox_that_cannot_send_says_why(queue, sending_mailbox):
    sending_mailbox.sends = False
    sending_mailbox.save()
    with pytest.raises(CannotBeQueued, match="switched off") as caught:
        queue()
    assert caught.value.field == "mailbox"


def test_an_address_named_twice_gets_it_once(queue, sink):
    message = queue(to=[BOB, Address("", "BOB@example.org")], cc=[BOB], bcc=[BOB])
    assert list(states(message)) == ["bob@example.org"]


@pytest.mark.proves("T19", "T4")
def test_a_blind_copy_stands_in_the_envelope_and_never_on_the_wire(queue, sink):
    message = queue(bcc=[Address("Secret Sam", "sam@example.org")])
    submit_message(message.pk)
    [taken] = sink.taken
    assert taken.recipients == ["bob@example.org", "sam@example.org"]
    assert b"sam" not in taken.raw.lower()
    assert b"\nbcc:" not in taken.raw.lower()  # in a Message-ID the three letters may stand


@pytest.mark.proves("I8")
def test_each_field_stands_once_and_what_servers_write_is_left_to_them(queue):
    """A signature (DKIM) would break at the first server that rewrites; the one that sends for the domain makes it."""
    raw = queue(cc=[Address("Jörg", "carol@example.org")], bcc=[Address("", "sam@example.org")], subject="ü" * 300).raw
    head = message_from_bytes(raw)
    times = Counter(name.lower() for name in head)
    assert set(times.values()) == {1}
    assert {"from", "to", "cc", "subject", "date", "message-id", "mime-version", "content-type"} <= set(times)
    assert not {"bcc", "received", "return-path", "dkim-signature", "sender"} & set(times)
    assert parsedate_to_datetime(head["Date"]).tzinfo is not None
    assert re.fullmatch(r"<[^\s<>@]+@example\.org>", head["Message-ID"])
    assert raw.partition(b"\r\n\r\n")[0].isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 998  # RFC 5322, 2.1.1


@pytest.mark.proves("T4")
@pytest.mark.parametrize("break_", ["\r\n", "\n", "\r", "\0", "\u2028"])
def test_a_line_break_in_the_subject_is_refused_with_the_field(queue, break_):
    with pytest.raises(CannotBeQueued) as caught:
        queue(subject=f"Hello{break_}Bcc: eve@example.org")
    assert caught.value.field == "subject"
    assert OutboxMessage.objects.count() == 0


@pytest.mark.proves("T4", "T2")
@pytest.mark.parametrize(
    "address", ["bob@example.org>\r\nRCPT TO:<eve@example.org", "bob@exa\nmple.org", "bob", "", "a b@example.org"]
)
def test_an_address_that_is_none_is_refused_with_the_field(queue, address):
    with pytest.raises(CannotBeQueued) as caught:
        queue(cc=[Address("", address)])
    assert caught.value.field == "cc"


def test_all_bad_addresses_of_a_field_are_named(queue):
    with pytest.raises(CannotBeQueued, match=r"“bob” is not an email address.*“eve@” is not an email address"):
        queue(cc=[Address("", "bob"), BOB, Address("", "eve@")])


@pytest.mark.proves("T4")
def test_a_display_name_cannot_begin_a_header_of_its_own(queue):
    with pytest.raises(CannotBeQueued):
        queue(to=[Address("Bob\r\nBcc: eve@example.org", "bob@example.org")])


@pytest.mark.parametrize("end", ["\n.\n", "\r\n.\r\n", "\r.\r", "\n.\r\n", "\r\n.\n", "\r.\n", "\r\n.\r"])
def test_no_spelling_of_the_end_of_data_ends_the_message_early(queue, sink, end):
    text = f"First{end}MAIL FROM:<eve@example.org>{end}Last\n"
    message = queue(text=text, attachments=[Attachment("a.txt", "text/plain", text.encode())])
    submit_message(message.pk)
    [taken] = sink.taken
    assert b"Last" in taken.raw
    assert taken.raw.count(b"\r\n") == taken.raw.count(b"\n") == taken.raw.count(b"\r")


@pytest.mark.proves("R3")
def test_a_broker_that_is_down_does_not_fail_the_answer_and_the_sweeper_finds_the_row(
    queue, sink, monkeypatch, django_capture_on_commit_callbacks
):
    def broken(*_: object, **__: object) -> None:
        raise OperationalError("Error 111 connecting to the broker")

    with monkeypatch.context() as patch:
        patch.setattr(submit_message, "apply_async", broken)
        with django_capture_on_commit_callbacks(execute=True):
            message = queue()
    assert states(message) == {"bob@example.org": State.QUEUED}
    with django_capture_on_commit_callbacks(execute=True):
        sweep_outbox()
    assert states(message) == {"bob@example.org": State.SENT}
    assert len(sink.taken) == 1


@pytest.mark.proves("R3")
def test_a_nudge_that_comes_back_late_sends_nothing_twice(queue, sink, time_machine):
    time_machine.move_to("2026-11-21T10:00:00Z", tick=True)
    message = queue()
    submit_message(message.pk)
    time_machine.shift(timedelta(days=3))
    submit_message(message.pk)
    assert len(sink.taken) == 1


def test_the_nudge_carries_only_the_key(queue, monkeypatch, django_capture_on_commit_callbacks):
    told: list[tuple[object, ...]] = []
    monkeypatch.setattr(submit_message, "apply_async", lambda arguments, **_: told.append(arguments))
    with django_capture_on_commit_callbacks(execute=True):
        message = queue()
    assert told == [(message.pk,)]


def test_other_mistakes_in_a_nudge_are_not_hidden(monkeypatch, django_capture_on_commit_callbacks):
    monkeypatch.setattr(submit_message, "apply_async", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError), django_capture_on_commit_callbacks(execute=True):
        nudge(submit_message, 1)


# --- What a person decides --------------------------------------------------------------------------------------


@pytest.mark.proves("I5")
def test_cancelling_takes_back_what_is_queued_and_is_written_down(queue, alice, sink):
    message = queue()
    assert cancelling.cancel(message, alice, timezone.now()) == 1
    submit_message(message.pk)
    assert states(message) == {"bob@example.org": State.CANCELLED}
    assert sink.connections == 0
    assert AuditEntry.objects.get().action == "outbox.cancelled"


def test_cancelling_what_is_being_sent_changes_nothing(queue, alice):
    message = queue()
    Attempt.objects.begin(message.pk, timezone.now())
    assert cancelling.cancel(message, alice, timezone.now()) == 0
    assert states(message) == {"bob@example.org": State.SENDING}
    assert not AuditEntry.objects.exists()


@pytest.mark.proves("I9")
def test_trying_again_sends_the_same_octets_to_those_who_failed(queue, alice, sink):
    message = queue(cc=[Address("", "carol@example.org")])
    sink.recipients = {"bob@example.org": "550 5.7.1 No"}
    submit_message(message.pk)
    sink.recipients = {}
    assert deciding.try_again(message, alice, timezone.now()) == 1
    submit_message(message.pk)
    assert [taken.recipients for taken in sink.taken] == [["carol@example.org"], ["bob@example.org"]]
    assert sink.taken[0].raw == sink.taken[1].raw


@pytest.mark.proves("I9")
def test_sending_once_more_makes_a_new_message_that_names_the_old_one(queue, alice, sink):
    message = queue(attachments=[Attachment("a.bin", "application/octet-stream", b"Message-ID: <no>\r\n\0" * 99)])
    submit_message(message.pk)
    copy = deciding.resend(message, alice, timezone.now(), submission_key="again")
    assert deciding.resend(message, alice, timezone.now(), submission_key="again") == copy
    submit_message(copy.pk)
    first, second = (message_from_bytes(taken.raw) for taken in sink.taken)
    assert copy.resend_of == message
    assert first["Message-ID"] != second["Message-ID"] == f"<{copy.message_id}>"
    assert second.get_all("Date") is not None
    assert len(second.get_all("Message-ID")) == len(second.get_all("Date")) == 1
    assert first["Subject"] == second["Subject"]
    assert sink.taken[0].raw.partition(b"\r\n\r\n")[2] == sink.taken[1].raw.partition(b"\r\n\r\n")[2]


@pytest.mark.proves("I3", "R19")
def test_a_person_settles_what_is_uncertain(queue, alice, sink):
    sink.after_dot = "drop"
    first, second = queue(), queue(submission_key="form-2")
    submit_message(first.pk)
    submit_message(second.pk)
    sink.after_dot = "answer"
    Route.objects.update(held_until=None)  # after two lost answers the others wait for a minute
    assert deciding.mark_sent(first, alice, timezone.now()) == 1
    assert deciding.send_again(second, alice, timezone.now()) == 1
    submit_message(first.pk)
    submit_message(second.pk)
    assert states(first) == states(second) == {"bob@example.org": State.SENT}
    identifiers = [message_from_bytes(taken.raw)["Message-ID"] for taken in sink.taken]
    assert identifiers == [f"<{first.message_id}>", f"<{second.message_id}>", f"<{second.message_id}>"]


@pytest.mark.proves("T19")
def test_sending_again_needs_the_right_that_sending_needs(queue, alice, shared_mailbox, sink):
    shared_mailbox.smtp_host, shared_mailbox.smtp_port, shared_mailbox.smtp_security = "127.0.0.1", sink.port, "none"
    shared_mailbox.save()
    message = queue(mailbox=shared_mailbox)
    submit_message(message.pk)
    MailboxGrant.objects.filter(user=alice).update(may_send=False)
    for decide in (deciding.resend, deciding.try_again, deciding.send_again):
        with pytest.raises(MayNotSend):
            decide(message, alice, timezone.now())


# --- Pure -------------------------------------------------------------------------------------------------------


@pytest.mark.proves("I1")
def test_no_move_that_the_table_does_not_know_is_possible(queue):
    message = queue()
    for origin in State:
        for to in set(State) - MOVES[origin]:
            with pytest.raises(IllegalMove):
                OutboxRecipient.objects.filter(message=message).move(origin, to, timezone.now())
    assert states(message) == {"bob@example.org": State.QUEUED}


@pytest.mark.proves("I1")
@pytest.mark.parametrize("origin", State)
def test_the_database_refuses_every_move_that_the_table_does_not_know(make_message, sending_mailbox, alice, origin):
    """Also one by hand, past all code of ours."""
    for to in [*State, "lost"]:
        [row] = make_message(sending_mailbox, alice, recipient={"state": origin}).recipients.all()
        mine = OutboxRecipient.objects.filter(pk=row.pk)
        if to == origin or to in MOVES[origin]:
            assert mine.update(state=to) == 1
        else:
            with pytest.raises(IntegrityError), transaction.atomic():
                mine.update(state=to)
            assert mine.get().state == origin


@pytest.mark.proves("I1")
def test_the_database_takes_no_recipient_in_a_state_that_is_none(make_message, sending_mailbox, alice):
    with pytest.raises(IntegrityError), transaction.atomic():
        make_message(sending_mailbox, alice, recipient={"state": "lost"})


@pytest.mark.proves("I1")
def test_the_drawing_in_the_docs_is_the_table():
    drawn = re.findall(r"^ +(\w+) --> (\w+)", (settings.BASE_DIR / "docs" / "delivery.md").read_text(), re.MULTILINE)
    assert set(drawn) == {(origin, to) for origin, following in MOVES.items() for to in following}
    assert len(drawn) == len(set(drawn))


def test_a_message_shows_what_needs_a_person_first():
    assert worst([State.SENT, State.UNCERTAIN, State.FAILED]) == State.UNCERTAIN
    assert worst([State.SENT, State.FAILED, State.QUEUED]) == State.FAILED
    assert worst([State.SENT, State.QUEUED]) == State.QUEUED
    assert worst([State.SENT, State.CANCELLED]) == State.CANCELLED


@pytest.mark.proves("R4")
@pytest.mark.django_db(transaction=True)
def test_many_workers_at_once_claim_a_message_once(queue, sink):
    message = queue()
    simultaneously(*[lambda: submit_message(message.pk)] * 8)
    assert len(sink.taken) == sink.connections == 1
    assert Attempt.objects.count() == 1


@pytest.mark.proves("R20", "I4")
@pytest.mark.django_db(transaction=True)
def test_many_clicks_at_once_make_one_message(queue, monkeypatch):
    monkeypatch.setattr(submit_message, "apply_async", lambda *_, **__: None)
    made = simultaneously(*[lambda: queue().pk] * 8)
    assert len(set(made)) == OutboxMessage.objects.count() == OutboxRecipient.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, SentCopy.WAITING),
        ({"imap_host": ""}, SentCopy.NOT_WANTED),
        ({"appends_sent": False}, SentCopy.NOT_WANTED),
    ],
)
def test_whether_a_copy_is_wanted_is_decided_when_it_is_queued(queue, sending_mailbox, changes, wanted):
    sending_mailbox.imap_host = "imap.example.org"
    for name, value in changes.items():
        setattr(sending_mailbox, name, value)
    sending_mailbox.save()
    assert queue().sent_copy == wanted
