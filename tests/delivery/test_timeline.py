"""The timeline of a message: every kind of thing that happens to it, in order, on its page and in the API."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from delivery import cancelling, deciding, scheduling
from delivery.explaining import story_of
from delivery.models import Attempt, DeliveryEvent, Look, OutboxMessage
from delivery.states import SentCopy, Sequel, State
from delivery.tasks import resolve_uncertain, submit_message
from delivery.timeline import Entry, Step
from tests.delivery.moving import put

pytestmark = pytest.mark.django_db

BOB, CAROL = "bob@example.org", "carol@example.org"


@pytest.fixture
def message(make_message, sending_mailbox, alice):
    return make_message(sending_mailbox, alice, BOB, subject="Offer")


def timeline_of(message, user) -> list[Entry]:
    return story_of(OutboxMessage.objects.get(pk=message.pk), user, timezone.now()).timeline


def titles(message, user) -> list[str]:
    return [entry.title for entry in timeline_of(message, user)]


@pytest.mark.proves("I9")
def test_a_mail_that_was_simply_sent_is_three_lines(message, alice, sink):
    OutboxMessage.objects.filter(pk=message.pk).update(
        sent_copy=SentCopy.FILED, sent_copy_claimed_at=timezone.now() + timedelta(minutes=1)
    )
    submit_message(message.pk)
    assert titles(message, alice) == ["Written", "127.0.0.1 took it", "Copy filed in Sent"]
    [_, attempt, _] = timeline_of(message, alice)
    assert attempt.tone == "good"
    assert attempt.facts[0] == f"127.0.0.1:{sink.port}"
    assert attempt.facts[1].startswith("250")


@pytest.mark.proves("I9", "I3")
def test_an_uncertain_mail_tells_the_lost_answer_each_look_and_who_decided(message, alice, sink, time_machine):
    time_machine.move_to(timezone.now(), tick=True)
    sink.after_dot = "drop"
    submit_message(message.pk)
    time_machine.shift(timedelta(minutes=1))
    resolve_uncertain(message.pk)
    *_, look, coming = timeline_of(message, alice)
    assert (look.title, coming.title, coming.is_coming) == ("Looked for: nothing found", "Looked for again", True)
    assert "no copy of it" in look.detail
    time_machine.shift(timedelta(seconds=1))
    deciding.mark_sent(OutboxMessage.objects.get(pk=message.pk), alice, timezone.now())
    assert titles(message, alice) == [
        "Written",
        "The connection broke after all of it was out, before an answer came",
        "Looked for: nothing found",
        "Marked as sent",
    ]
    assert timeline_of(message, alice)[-1].by == str(alice)


def test_a_mail_that_is_put_off_says_when_the_next_try_comes(message, alice, sink):
    sink.recipients[BOB] = "451 4.7.1 Come back later"
    submit_message(message.pk)
    [_, attempt, coming] = timeline_of(message, alice)
    assert attempt.title == "127.0.0.1 put it off"
    assert attempt.facts[1] == "451 4.7.1"
    assert (coming.title, coming.kind) == ("Next try", Step.DUE)


def test_a_refusal_for_good_is_told_once(message, alice, sink):
    sink.recipients[BOB] = "550 5.1.1 No such user"
    submit_message(message.pk)
    assert titles(message, alice) == ["Written", "127.0.0.1 refused it"]


def test_what_some_got_and_others_not_is_counted(make_message, sending_mailbox, alice, sink):
    message = make_message(sending_mailbox, alice, BOB, CAROL)
    sink.recipients[CAROL] = "550 5.1.1 No such user"
    submit_message(message.pk)
    assert titles(message, alice) == ["Written", "127.0.0.1 took it for 1 of 2 recipients"]


def test_scheduling_moving_and_taking_back_stand_there_with_their_moments(make_message, sending_mailbox, alice):
    leaves_at = timezone.now() + timedelta(days=1)
    message = make_message(sending_mailbox, alice, BOB, scheduled_for=leaves_at, recipient={"not_before": leaves_at})
    assert titles(message, alice)[1].startswith("Scheduled for ")
    assert titles(message, alice)[-1] == "Leaves"
    later = (leaves_at + timedelta(days=1)).replace(hour=10, minute=30, second=0, microsecond=0)
    scheduling.reschedule(message, alice, later, timezone.now())
    cancelling.cancel(message, alice, timezone.now())
    written, scheduled, moved, cancelled = timeline_of(message, alice)
    assert (written.title, scheduled.title, cancelled.title) == ("Written", "Scheduled", "Taken back")
    assert moved.title.startswith(f"Put to {later.day} ")
    assert (moved.by, cancelled.by) == (str(alice), str(alice))


def test_the_time_to_undo_is_told_unless_the_mail_was_taken_back_in_it(make_message, sending_mailbox, alice):
    before = timezone.now() - timedelta(minutes=1)
    fields = {"created_at": before, "undo_until": before + timedelta(seconds=10)}
    kept = make_message(sending_mailbox, alice, BOB, **fields)
    back = make_message(sending_mailbox, alice, BOB, **fields)
    back.recipients.all().update(state=State.CANCELLED, state_at=before + timedelta(seconds=4))
    assert titles(kept, alice) == ["Written", "The time to undo ended"]
    assert titles(back, alice) == ["Written"]


def test_what_came_later_is_told_with_words_only_for_who_may_read_them(message, alice, stored, sending_mailbox, bob):
    report = stored(sending_mailbox)
    for kind, words in ((Sequel.AUTO_REPLY, "I am away"), (Sequel.COMPLAINT, "")):
        DeliveryEvent.objects.create(
            message=message, address=BOB, kind=kind, at=timezone.now(), words=words, report=report, digest=kind.encode()
        )
    *_, away, spam = timeline_of(message, alice)
    assert (away.title, away.detail, away.recipients) == ("Answered automatically", "I am away", (BOB,))
    assert spam.title == "Marked as spam"
    assert away.page
    *_, away, _ = timeline_of(message, bob)
    assert (away.detail, away.page) == ("", "")


def test_copies_are_named_only_to_who_may_see_them(message, alice, bob, sink):
    submit_message(message.pk)
    copy = deciding.resend(message, alice, timezone.now())
    assert titles(message, alice)[-1] == "Sent once more, as a new message"
    assert titles(message, bob)[-1] == "127.0.0.1 took it"
    assert titles(copy, alice)[0] == "Sent once more, as a copy of an earlier mail"


def test_a_failure_without_an_attempt_and_what_a_backup_set_aside_have_lines_of_their_own(message, alice):
    now = timezone.now()
    put(message.recipients.all(), State.FAILED, state_at=now, note="Given up after two days: no way out.")
    assert titles(message, alice) == ["Written", "Given up"]
    put(message.recipients.all(), State.UNCERTAIN, note="A backup was put back.", look_at=None)
    assert titles(message, alice) == ["Written", "Nobody knows whether it was sent"]


@pytest.mark.proves("I9")
def test_a_long_story_costs_as_many_queries_as_a_short_one(client_of, make_message, sending_mailbox, alice):
    short = make_message(sending_mailbox, alice, BOB)
    long = make_message(sending_mailbox, alice, *(f"person{number}@example.org" for number in range(30)))
    now = timezone.now()
    for message, number in ((short, 1), (long, 20)):
        for _ in range(number):
            Attempt.objects.create(message=message, started_at=now, ended_at=now, server="mail.example:587", code=451)
            Look.objects.create(message=message, at=now, result=Look.Result.NOTHING, verdict="Nothing.")
            deciding.noted("outbox.looked_for", message, alice, 1)
    client, counts = client_of(alice), []
    for message in (short, short, long):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert client.get(reverse("delivery:message", args=[message.pk])).status_code == 200
        counts.append(len(queries))
    assert counts[1] == counts[2]


def test_the_page_shows_the_timeline_and_keeps_its_other_parts(client_of, message, alice):
    submit_message(message.pk)
    page = client_of(alice).get(reverse("delivery:message", args=[message.pk])).content.decode()
    for title in ("Timeline", "Recipients", "Attempts", "About"):
        assert f">{title}</h2>" in page
    assert "127.0.0.1 took it" in page
