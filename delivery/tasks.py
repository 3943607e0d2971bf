"""Celery's part: thin, named, harmless when repeated, late or lost. The rows are the truth."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from delivery import bounces, sent_copy, submission, sweeping
from delivery.models import Attempt, OutboxMessage
from delivery.states import SentCopy
from mailstore import schedule
from organizations.nudging import nudge


@shared_task(name="delivery.submit_message", ignore_result=True)
def submit_message(pk: int) -> None:
    """Submit what is due of one message. A second run, or a stale pk, does nothing."""
    attempt = Attempt.objects.begin(pk, timezone.now())
    if attempt is None:
        return
    submission.submit(attempt)
    if OutboxMessage.objects.filter(pk=pk, sent_copy=SentCopy.WAITING, sent_copy_not_before__isnull=False).exists():
        nudge(file_sent_copy, pk)


@shared_task(name="delivery.file_sent_copy", ignore_result=True)
def file_sent_copy(pk: int) -> None:
    """File the copy of one sent message, once; then let the next sync show it."""
    if sent_copy.file_copy(pk):
        mailbox_pk = OutboxMessage.objects.values_list("mailbox_id", flat=True).get(pk=pk)
        if mailbox_pk is not None:
            schedule.request_sync(mailbox_pk)


@shared_task(name="delivery.sweep_outbox", ignore_result=True)
def sweep_outbox() -> None:
    """Find lost nudges, due retries and what vanished workers held."""
    found = sweeping.sweep(timezone.now())
    for pk in found.messages:
        nudge(submit_message, pk)
    for pk in found.copies:
        nudge(file_sent_copy, pk)


@shared_task(name="delivery.read_arrivals", ignore_result=True)
def read_arrivals() -> None:
    """Look whether new mail tells what became of mail that left. The arrivals say what is still to be read."""
    bounces.read_arrivals(timezone.now())


@shared_task(name="delivery.mail_notices", ignore_result=True)
def mail_notices() -> None:
    """Mail what people are told and want by mail. While account mail is broken, others are left for the next run."""
    from delivery import notices  # it stands on the outbox, which nudges the tasks of this module

    for user_pk in notices.due(timezone.now()):
        if not notices.mail(user_pk, timezone.now()):
            break
