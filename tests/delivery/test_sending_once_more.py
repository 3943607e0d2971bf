"""The same mail once more, as a new message: one of them, and all that the log shows (spec I9)."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import MailboxGrant
from delivery import log_runs
from delivery.deciding import MayNotDecide, resend
from delivery.models import LogRun, OutboxMessage, OutboxOctets
from delivery.outbox import CannotBeQueued
from delivery.states import Automatic, Decision, Origin, Priority, State
from delivery.tasks import carry_on_run
from tests.delivery.conftest import states
from tests.delivery.moving import put

pytestmark = pytest.mark.django_db


def once_more(author, *messages: OutboxMessage) -> LogRun:
    keys = [message.pk for message in messages]
    run = log_runs.start(author, Decision.RESEND, keys, {}, timezone.now(), submission_key="1")
    carry_on_run(run.pk)
    return LogRun.objects.get(pk=run.pk)


def copies() -> list[OutboxMessage]:
    return list(OutboxMessage.objects.exclude(resend_of=None))


@pytest.mark.proves("F6")
def test_a_notice_to_somebody_else_is_not_sent_once_more_and_read(make_message, shared_mailbox, bob, client_of):
    MailboxGrant.objects.filter(mailbox=shared_mailbox, user=bob).update(may_send=True)
    notice = make_message(
        shared_mailbox, None, "alice@example.org", origin=Origin.NOTICE, recipient={"state": State.SENT}
    )
    url = reverse("delivery:resend", args=[notice.pk])
    assert client_of(bob).post(url, {"submission_key": "k"}).status_code == 403
    with pytest.raises(MayNotDecide):
        resend(notice, bob, timezone.now())
    assert copies() == []


def test_the_page_of_a_copy_names_the_mail_that_it_is_a_copy_of(make_message, sending_mailbox, alice, client_of):
    message = make_message(sending_mailbox, alice)
    OutboxMessage.objects.filter(pk=message.pk).update(subject="Offer <1>")
    copy = resend(message, alice, timezone.now())
    page = client_of(alice).get(reverse("delivery:message", args=[copy.pk])).content.decode()
    link = reverse("delivery:message", args=[message.pk])
    assert f'<dt>Copy of</dt><dd class="anywhere"><a class="link" href="{link}">Offer &lt;1&gt;</a>' in page


def test_whoever_was_taken_off_a_mail_does_not_get_it_once_more(make_message, sending_mailbox, alice):
    message = make_message(sending_mailbox, alice, "bob@x.org", "wrong@x.org", recipient={"state": State.SENT})
    put(message.recipients.filter(address="wrong@x.org"), State.CANCELLED)
    assert once_more(alice, message).done == 1
    [copy] = copies()
    assert set(states(copy)) == {"bob@x.org"}


def test_a_run_sends_nothing_that_was_cancelled_and_says_so(make_message, sending_mailbox, alice):
    message = make_message(sending_mailbox, alice, recipient={"state": State.CANCELLED})
    run = once_more(alice, message)
    assert (run.skipped, list(run.reasons)) == (1, [log_runs.CANCELLED])
    assert copies() == []


def test_a_run_yields_to_people_and_keeps_what_marks_automatic_mail(make_message, sending_mailbox, alice):
    marks = {"automatic": Automatic.GENERATED, "has_null_sender": True}
    once_more(alice, make_message(sending_mailbox, alice, **marks, recipient={"state": State.SENT}))
    [copy] = copies()
    assert (copy.priority, copy.automatic, copy.envelope_sender) == (Priority.BULK, Automatic.GENERATED, "")


@pytest.mark.proves("R20")
def test_the_same_key_gives_the_same_message_after_its_octets_were_let_go_and_nothing_may_be_sent(
    make_message, sending_mailbox, alice
):
    message = make_message(sending_mailbox, alice, recipient={"state": State.SENT})
    first = resend(message, alice, timezone.now(), submission_key="once")
    OutboxOctets.objects.all().delete()
    OutboxMessage.objects.filter(pk=message.pk).update(mailbox=None)
    again = resend(OutboxMessage.objects.get(pk=message.pk), alice, timezone.now(), submission_key="once")
    assert (again.pk, again.was_queued_before) == (first.pk, True)
    assert copies() == [first]


def test_an_answer_to_what_is_gone_is_refused_in_words(make_message, sending_mailbox, alice):
    answer = make_message(sending_mailbox, alice, automatic=Automatic.REPLIED, recipient={"state": State.SENT})
    with pytest.raises(CannotBeQueued, match="is gone"):
        resend(answer, alice, timezone.now())
