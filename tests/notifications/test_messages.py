"""Messages that failed or were possibly sent: their author is told, once per change of state."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from delivery.deciding import send_again, try_again
from delivery.ledger import DEATHS, take_back
from delivery.models import Attempt, LoginRefusal, OutboxRecipient
from delivery.states import State
from delivery.sweeping import sweep
from delivery.tasks import submit_message
from notifications.kinds import Kind
from notifications.models import Notification
from tests.delivery.conftest import sending_mailbox, states  # noqa: F401  a fixture

pytestmark = pytest.mark.django_db

GONE = "550 5.1.1 No such user here"


def told(user) -> list[tuple[str, str]]:
    return list(Notification.objects.of(user).order_by("pk").values_list("kind", "text"))


def submit(message) -> None:
    OutboxRecipient.objects.filter(message=message, state=State.QUEUED).update(not_before=timezone.now())
    submit_message(message.pk)


@pytest.mark.proves("A7")
def test_the_author_is_told_that_a_message_failed(sending_mailbox, sink, alice, bob, make_message):  # noqa: F811
    sink.recipients = {"gone@example.net": GONE}
    message = make_message(sending_mailbox, alice, "gone@example.net", "bob@example.net", subject="Offer for March")
    submit(message)
    [(kind, text)] = told(alice)
    assert kind == Kind.MESSAGE_FAILED
    assert text.startswith("“Offer for March” to gone@example.net: ")
    notification = Notification.objects.get()
    assert notification.url == f"/logs/email/{message.pk}"
    assert "Offer" not in notification.title


@pytest.mark.proves("A7")
def test_a_message_that_is_sent_or_tried_again_by_itself_is_no_news(sending_mailbox, sink, alice, make_message):  # noqa: F811
    sink.recipients = {"later@example.net": "451 4.7.1 Try again later"}
    submit(make_message(sending_mailbox, alice, "bob@example.net"))
    waiting = make_message(sending_mailbox, alice, "later@example.net")
    for _ in range(3):
        submit(waiting)
    assert states(waiting) == {"later@example.net": State.QUEUED}
    assert told(alice) == []


@pytest.mark.proves("A7")
def test_recipients_that_fail_one_after_the_other_are_one_change_of_state(
    sending_mailbox,  # noqa: F811
    sink,
    alice,
    make_message,
):
    sink.recipients = {"gone@example.net": GONE, "full@example.net": "452 4.2.2 Full"}
    message = make_message(sending_mailbox, alice, "gone@example.net", "full@example.net")
    submit(message)
    sink.recipients["full@example.net"] = "552 5.2.2 Full for good"
    submit(message)
    assert set(states(message).values()) == {State.FAILED}
    assert len(told(alice)) == 1


@pytest.mark.proves("A7")
def test_what_fails_again_after_a_person_tried_again_is_told_again(sending_mailbox, sink, alice, make_message):  # noqa: F811
    sink.recipients = {"gone@example.net": "550 5.7.1 No", "too@example.net": "554 5.7.1 Not at all"}
    message = make_message(sending_mailbox, alice, "gone@example.net", "too@example.net")
    submit(message)
    assert len(told(alice)) == 1
    message.refresh_from_db()
    assert try_again(message, alice, timezone.now()) == 2
    submit(message)
    assert len(told(alice)) == 2


@pytest.mark.proves("A7", "I3")
def test_a_lost_answer_is_told_as_possibly_sent(sending_mailbox, sink, alice, make_message):  # noqa: F811
    sink.after_dot = "drop"
    message = make_message(sending_mailbox, alice, "bob@example.net", "carol@example.net", subject="")
    submit(message)
    [(kind, text)] = told(alice)
    assert kind == Kind.MESSAGE_UNCERTAIN
    assert text.startswith("The message without a subject to bob@example.net and 1 more: ")
    sink.after_dot = "answer"
    send_again(message, alice, timezone.now())
    submit(message)
    assert len(told(alice)) == 1


@pytest.mark.proves("A7")
def test_a_worker_that_vanished_is_told_by_the_sweeper_once(mailbox, alice, make_message):
    message = make_message(mailbox, alice, "bob@example.net")
    now = timezone.now()
    attempt = Attempt.objects.begin(message.pk, now)
    assert attempt.mark_final_dot(now)
    for _ in range(2):
        sweep(now + timedelta(hours=1))
    assert [kind for kind, _ in told(alice)] == [Kind.MESSAGE_UNCERTAIN]


def test_a_message_that_kills_its_workers_is_told_as_failed(mailbox, alice, make_message):
    message = make_message(mailbox, alice, "bob@example.net")
    for _ in range(DEATHS):
        take_back(Attempt.objects.begin(message.pk, timezone.now()).pk, timezone.now())
    [(kind, text)] = told(alice)
    assert kind == Kind.MESSAGE_FAILED
    assert "set aside" in text


def test_mail_of_somebody_who_is_gone_tells_nobody(sending_mailbox, sink, alice, make_message):  # noqa: F811
    submit(make_message(sending_mailbox, None, "bob@example.net"))
    assert not Notification.objects.exists()
    assert sink.taken == []


def test_a_long_subject_is_cut(sending_mailbox, sink, alice, make_message):  # noqa: F811
    sink.recipients = {"gone@example.net": GONE}
    submit(make_message(sending_mailbox, alice, "gone@example.net", subject="x" * 900))
    assert "x ...” to gone@example.net" in told(alice)[0][1]


# --- The account it goes through --------------------------------------------------------------------------------


@pytest.mark.proves("A7", "D4")
def test_a_refused_login_is_told_as_a_disconnected_mailbox(sending_mailbox, sink, alice, make_message):  # noqa: F811
    sink.refuse_login = "535 5.7.8 Authentication credentials invalid"
    message = make_message(sending_mailbox, alice, "bob@example.net")
    for _ in range(4):
        submit(message)
        LoginRefusal.objects.update(last_at=timezone.now() - timedelta(minutes=11))
    assert [kind for kind, _ in told(alice)] == [Kind.MAILBOX_DISCONNECTED]
    sink.refuse_login = ""
    LoginRefusal.objects.all().delete()
    sending_mailbox.refresh_from_db()
    assert sending_mailbox.paused_at is not None
    sending_mailbox.paused_at = sending_mailbox.attention = sending_mailbox.attention_since = None  # typed anew
    sending_mailbox.save()
    for _ in range(2):
        submit(message)
    assert [kind for kind, _ in told(alice)] == [Kind.MAILBOX_DISCONNECTED, Kind.MAILBOX_CONNECTED]
