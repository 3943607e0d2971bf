"""Mail that was sent again although its answer was lost: whatever the later attempt brings, it may have left before."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox
from delivery import cancelling, deciding, log_runs, resolving, taking_back
from delivery.explaining import story_of
from delivery.ledger import DEATHS, take_back
from delivery.models import AFTER_LOST_ANSWER, Attempt, OutboxMessage, OutboxRecipient, Suppression, Typed
from delivery.states import Cause, Decision, State
from delivery.tasks import resolve_uncertain, submit_message
from notifications.models import Notification
from tests.delivery.conftest import states

pytestmark = [pytest.mark.django_db, pytest.mark.proves("I3", "R19")]

BOB = "bob@example.org"
REFUSAL = "550 5.7.1 refused as spam"


@pytest.fixture
def unsure(make_message, sending_mailbox, alice, sink):
    """For Bob; the server took it, and its answer was lost."""
    message = make_message(sending_mailbox, alice, BOB)
    sink.after_dots = ["drop"]
    submit_message(message.pk)
    assert states(message) == {BOB: State.UNCERTAIN}
    return message


@pytest.fixture
def again(unsure, alice):
    """Alice lets it be sent again; it waits."""
    assert deciding.send_again(unsure, alice, timezone.now()) == 1
    return unsure


def is_still_unsure(message: OutboxMessage, cause: str) -> None:
    recipient = message.recipients.get()
    assert (recipient.state, recipient.bounce_reason) == (State.UNCERTAIN, "")
    assert cause in recipient.note + recipient.last_reply
    assert recipient.note.endswith(AFTER_LOST_ANSWER)
    assert recipient.look_at is not None


def story(message: OutboxMessage, user):
    return story_of(OutboxMessage.objects.get(pk=message.pk), user, timezone.now())


def test_a_later_refusal_leaves_it_uncertain_and_no_run_sends_a_second_copy(again, alice, sink):
    sink.recipients = {BOB: REFUSAL}
    submit_message(again.pk)
    is_still_unsure(again, "spam")
    told = story(again, alice)
    assert "try-again" not in told.decisions
    assert told.uncertain.attempt == again.attempts.first()  # in which the answer was lost
    assert told.uncertain.last_words.startswith("550 5.7.1")
    assert Notification.objects.filter(kind="message_uncertain", read_at=None).exists()
    assert not Notification.objects.filter(kind="message_failed").exists()
    sink.recipients = {}
    run = log_runs.start(alice, Decision.TRY_AGAIN, [again.pk], {}, timezone.now(), submission_key="run")
    log_runs.carry_on(run.pk)
    run.refresh_from_db()
    assert (run.done, run.skipped) == (0, 1)
    submit_message(again.pk)
    assert len(sink.taken) == 1


def test_a_refusal_of_the_whole_message_leaves_it_uncertain_too(again, sink):
    sink.end = REFUSAL
    submit_message(again.pk)
    is_still_unsure(again, "spam")


def test_cancelled_then_it_is_uncertain_and_does_not_open_to_be_sent_as_another(again, alice):
    Typed.objects.create(message=again, kind="compose", original=None, fields={})
    assert cancelling.cancel(again, alice, timezone.now()) == 1
    is_still_unsure(again, "Cancelled by Alice.")
    assert not cancelling.was_taken_back(again)
    assert taking_back.reopened(again) is None
    assert not story(again, alice).may_edit


def test_the_page_says_what_was_cancelled_and_what_was_not(again, alice, client_of):
    url = reverse("delivery:decide", args=[again.pk, "cancel"])
    page = client_of(alice).post(url, follow=True).content.decode()
    assert f"Nothing more is sent. {AFTER_LOST_ANSWER}" in page
    assert "Nobody knows whether it was sent." in page


def test_what_a_person_took_back_is_not_sent_again_by_the_setting_of_its_mailbox(again, alice, sink):
    Mailbox.objects.update(retries_uncertain=True)
    cancelling.cancel(again, alice, timezone.now())
    for _ in range(resolving.LOOKS_BEFORE_RETRY + 1):
        OutboxRecipient.objects.update(look_at=timezone.now())
        resolve_uncertain(again.pk)
        submit_message(again.pk)
    assert states(again) == {BOB: State.UNCERTAIN}
    assert len(sink.taken) == 1


def test_what_its_mailbox_sent_again_is_uncertain_once_it_is_refused(unsure, sink):
    Mailbox.objects.update(retries_uncertain=True)
    for _ in range(resolving.LOOKS_BEFORE_RETRY):
        OutboxRecipient.objects.update(look_at=timezone.now())
        resolving.resolve(unsure.pk)
    assert states(unsure) == {BOB: State.QUEUED}
    sink.recipients = {BOB: REFUSAL}
    submit_message(unsure.pk)
    is_still_unsure(unsure, "spam")


def test_the_end_of_the_time_to_try_leaves_it_uncertain(again):
    OutboxRecipient.objects.update(expires_at=timezone.now() - timedelta(days=1))
    submit_message(again.pk)
    is_still_unsure(again, "within two days")


def test_an_address_that_was_suppressed_meanwhile_leaves_it_uncertain(again, sink):
    organization = again.organization
    Suppression.objects.create(organization=organization, address=BOB, cause=Cause.BY_HAND, since=timezone.now())
    submit_message(again.pk)
    is_still_unsure(again, "suppression list")
    assert len(sink.taken) == 1


def test_workers_that_die_before_the_mark_leave_it_uncertain(again):
    for _ in range(DEATHS):
        OutboxRecipient.objects.update(not_before=timezone.now())
        attempt = Attempt.objects.begin(again.pk, timezone.now())
        assert take_back(attempt.pk, timezone.now())
    is_still_unsure(again, "The worker stopped")


def test_sent_it_is_forgotten_that_an_answer_was_lost(again, sink):
    submit_message(again.pk)
    recipient = again.recipients.get()
    assert (recipient.state, recipient.may_have_left_in) == (State.SENT, None)


@pytest.mark.parametrize("proof", [State.SENT, State.BOUNCED])
def test_once_it_is_proved_what_became_of_it_a_later_end_is_an_end(again, alice, sink, proof):
    sink.recipients = {BOB: REFUSAL}
    submit_message(again.pk)
    row = OutboxRecipient.objects.filter(message=again)
    assert row.move(State.UNCERTAIN, proof, timezone.now()) == 1
    row.move(State.SENT, State.BOUNCED, timezone.now())
    deciding.try_again(again, alice, timezone.now())
    assert cancelling.cancel(again, alice, timezone.now()) == 1
    assert states(again) == {BOB: State.CANCELLED}


def test_of_several_only_those_whose_answer_was_lost_stay_uncertain(make_message, sending_mailbox, alice, sink):
    message = make_message(sending_mailbox, alice, BOB, "carol@example.org")
    sink.after_dots, sink.recipients = ["drop"], {"carol@example.org": "450 4.2.1 later"}
    submit_message(message.pk)
    deciding.send_again(message, alice, timezone.now())
    assert cancelling.cancel(message, alice, timezone.now()) == 2
    assert states(message) == {BOB: State.UNCERTAIN, "carol@example.org": State.CANCELLED}
