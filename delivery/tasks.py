"""Celery's part: thin, named, harmless when repeated, late or lost. The rows are the truth."""

from __future__ import annotations

import logging

from celery import shared_task
from django.db import DatabaseError, transaction
from django.utils import timezone

from accounts.models import Mailbox
from delivery import bounces, dispatching, loops, resolving, restoring, retention, sent_copy, sweeping
from delivery.models import LogRun, OutboxMessage
from delivery.models.routes import Route
from delivery.states import SentCopy
from mailstore import schedule
from organizations.nudging import nudge

log = logging.getLogger(__name__)


@shared_task(name="delivery.submit_message", ignore_result=True)
def submit_message(pk: int) -> None:
    """Submit what is due of one message. A second run, or a stale pk, does nothing."""
    message = OutboxMessage.objects.filter(pk=pk).select_related("mailbox").first()
    if message is None:
        return
    if message.mailbox is None:
        dispatching.settle_without_way(pk)
        return
    turn = dispatching.Turn(Route.objects.leading(message.mailbox), only=[pk])
    try:
        turn.take()
    finally:
        _file_copies(turn)


@shared_task(name="delivery.submit_route", ignore_result=True)
def submit_route(pk: int) -> None:
    """Submit what is due behind one login, for the length of a turn; then the next in the queue has its turn."""
    if not Route.objects.filter(pk=pk).update(nudged_at=None):
        return
    turn = dispatching.Turn(Route.objects.by_key(pk))
    try:
        if turn.take(has_plenty=lambda: wake_route(pk)):
            wake_route(pk)
    finally:
        _file_copies(turn)


def wake_for(mailbox: Mailbox) -> None:
    """Tell a worker, after the commit, that mail from `mailbox` waits. Of a burst for one login one nudge is left."""

    def wake() -> None:
        try:
            pk = Route.objects.to_nudge(mailbox, timezone.now())
            if pk is not None:
                wake_route(pk)
        except (DatabaseError, Route.DoesNotExist) as exc:  # the row is committed; whoever queued it must not see this
            log.warning("No worker was told of mail from mailbox %s, beat will find it: %s", mailbox.pk, exc)

    transaction.on_commit(wake)


def wake_route(pk: int) -> None:
    """Tell a worker now, unless one was told that has not begun; beat finds what this could not tell."""
    if Route.objects.filter(pk=pk).note_nudge(timezone.now()):
        nudge(submit_route, pk)


def _file_copies(turn: dispatching.Turn) -> None:
    waiting = OutboxMessage.objects.filter(sent_copy=SentCopy.WAITING, sent_copy_not_before__isnull=False)
    for pk in waiting.filter(pk__in=turn.copies).values_list("pk", flat=True) if turn.copies else ():
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
    now = timezone.now()
    restoring.notice(now)
    found = sweeping.sweep(now)
    loops.forget(now)
    for pk in found.orphans:
        nudge(submit_message, pk)
    for pk in found.routes:
        Route.objects.filter(pk=pk).update(nudged_at=now)  # an earlier nudge may have been lost
        nudge(submit_route, pk)
    for pk, moment in sweeping.due_soon(now).items():
        nudge(submit_message, pk, at=moment)
    for pk in found.copies:
        nudge(file_sent_copy, pk)
    restoring.pulse(timezone.now())


@shared_task(name="delivery.look_for_uncertain", ignore_result=True)
def look_for_uncertain() -> None:
    """Find mail of which nobody knows whether it was sent, and that is to be looked for now."""
    for pk in resolving.due(timezone.now()):
        nudge(resolve_uncertain, pk)


@shared_task(name="delivery.resolve_uncertain", ignore_result=True)
def resolve_uncertain(pk: int) -> None:
    """Look once for one message. A second run, or one too early, does nothing."""
    resolved = resolving.resolve(pk)
    if resolved.submission:
        nudge(submit_message, pk)
    if resolved.copy:
        nudge(file_sent_copy, pk)


@shared_task(name="delivery.read_arrivals", ignore_result=True)
def read_arrivals() -> None:
    """Look whether new mail tells what became of mail that left. The arrivals say what is still to be read."""
    bounces.read_arrivals(timezone.now())


@shared_task(name="delivery.carry_on_run", ignore_result=True)
def carry_on_run(pk: int) -> None:
    """Carry out one decision about many messages, or go on where another worker stopped."""
    from delivery import log_runs  # it stands on the outbox, which nudges the tasks of this module

    log_runs.carry_on(pk)


@shared_task(name="delivery.carry_on_runs", ignore_result=True)
def carry_on_runs() -> None:
    """Find decisions about many messages that nobody carries out."""
    for pk in LogRun.objects.waiting(timezone.now()).values_list("pk", flat=True)[:100]:
        nudge(carry_on_run, pk)


@shared_task(name="delivery.let_old_mail_go", ignore_result=True)
def let_old_mail_go() -> None:
    """Let go of what each organization keeps no longer, in small batches; what is left waits for the next run."""
    retention.let_go(timezone.now())


@shared_task(name="delivery.mail_notices", ignore_result=True)
def mail_notices() -> None:
    """Mail what people are told and want by mail. While account mail is broken, others are left for the next run."""
    from delivery import notices  # it stands on the outbox, which nudges the tasks of this module

    for user_pk in notices.due(timezone.now()):
        if not notices.mail(user_pk, timezone.now()):
            break
