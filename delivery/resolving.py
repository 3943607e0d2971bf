"""Finding out what became of mail whose outcome is not known (spec I3, fault R19).

Looked for after a minute, five minutes, half an hour, two hours and a day, and when a person asks. What was found is
kept. It settles what is proved to be sent; a report that comes back is settled by `bounces.py`. Nothing is sent again,
but from a mailbox whose people want that: once, when two looks found nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from delivery import looking
from delivery.evidence import Finds, Verdict, judge, was_left_open, was_never_repeated
from delivery.models import FIRST_LOOK, RETRY_PERIOD, Attempt, Look, OutboxMessage, OutboxRecipient
from delivery.news import tell_settled
from delivery.sent_copy import filing_provider
from delivery.states import State
from organizations import audit, live

STEPS = (FIRST_LOOK, timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2), timedelta(days=1))
WHILE_PREVENTED = timedelta(hours=6)  # between further looks, while places could not be looked at
GIVE_UP = timedelta(days=7)
LEASE = timedelta(minutes=10)  # of one look
LOOKS_BEFORE_RETRY = 2
MOST = 500  # messages looked for in one go of beat

SENT_AGAIN = (
    "Nothing was found of it, so it is sent again, as the settings of its email account want. It may arrive twice."
)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What is to be nudged afterwards."""

    submission: bool = False
    copy: bool = False


def due(now: datetime) -> list[int]:
    """Return the keys of messages that are to be looked for."""
    waiting = OutboxRecipient.objects.filter(state=State.UNCERTAIN, look_at__lte=now).order_by("look_at")
    return list(dict.fromkeys(waiting.values_list("message_id", flat=True)[:MOST]))


def resolve(message_pk: int) -> Resolved:
    """Look for one message, unless another worker does or it is not due. Waits for the network."""
    now = timezone.now()
    unsure = OutboxRecipient.objects.filter(message_id=message_pk, state=State.UNCERTAIN)
    leased_until = now + LEASE
    if not unsure.filter(look_at__lte=now).update(look_at=leased_until):
        return Resolved()
    related = ("mailbox__provider", "mailbox__mail_server__provider", "organization")
    message = OutboxMessage.objects.select_related(*related).get(pk=message_pk)
    finds = looking.look(message)
    with transaction.atomic():
        resolved = _write_down(message, finds, leased_until)
    live.announce(message.organization_id, "outbox", message.pk)
    return resolved


def _write_down(message: OutboxMessage, finds: Finds, leased_until: datetime) -> Resolved:
    """Judge by the rows as they are after the look; whoever has moved on meanwhile stays as it is."""
    now = timezone.now()
    OutboxMessage.objects.select_for_update().only("pk").get(pk=message.pk)  # one decision about it at a time
    message.refresh_from_db(fields=["sent_copy_tries"])
    recipients, attempts = list(message.recipients.all()), list(message.attempts.all())
    provider = filing_provider(message.mailbox) if message.mailbox is not None else None
    verdict = judge(message, recipients, attempts, finds, filing_provider=str(provider or ""))
    settled = _settle(verdict, now)
    Look.objects.create(
        message=message,
        at=now,
        result=verdict.result,
        findings=list(finds.sentences),
        verdict=verdict.sentence[:500],
        settled=settled,
    )
    wants_copy = bool(settled) and bool(OutboxMessage.objects.filter(pk=message.pk).want_copy(now))
    queued = 0
    if verdict.result == Look.Result.NOTHING and message.mailbox is not None and message.mailbox.retries_uncertain:
        queued = _queue_again(message, recipients, attempts, now)
    if settled or queued:
        tell_settled(message, now)
    _plan_next_look(recipients, verdict, leased_until, now)
    return Resolved(submission=bool(queued), copy=wants_copy)


def _settle(verdict: Verdict, now: datetime) -> int:
    by_claim: dict[int, list[int]] = defaultdict(list)
    for one in verdict.sent:
        by_claim[one.claim].append(one.pk)
    return sum(
        OutboxRecipient.objects.filter(pk__in=pks, claim=claim).move(
            State.UNCERTAIN, State.SENT, now, note=f"Its trace was found. {verdict.sentence}"[:500]
        )
        for claim, pks in by_claim.items()
    )


def _queue_again(
    message: OutboxMessage, recipients: Sequence[OutboxRecipient], attempts: Sequence[Attempt], now: datetime
) -> int:
    """Queue those again, once each, whose answer was lost; what a restored backup made uncertain is left to people."""
    by_pk = {attempt.pk: attempt for attempt in attempts}
    lost = [
        one
        for one in recipients
        if one.state == State.UNCERTAIN and was_never_repeated(one) and was_left_open(by_pk.get(one.claim))
    ]
    if not lost:
        return 0
    since = max(one.state_at for one in lost)
    if message.looks.filter(at__gte=since, result=Look.Result.NOTHING).count() < LOOKS_BEFORE_RETRY:
        return 0
    queued = OutboxRecipient.objects.filter(pk__in=[one.pk for one in lost]).move(
        State.UNCERTAIN,
        State.QUEUED,
        now,
        not_before=now,
        expires_at=now + RETRY_PERIOD,
        tries=0,
        note=SENT_AGAIN,
        was_retried_uncertain=True,
    )
    if queued:
        detail: dict[str, object] = {"recipients": queued, "message_id": message.message_id}
        audit.record(
            "outbox.retried_uncertain", organization=message.organization, actor=None, target=message, detail=detail
        )
    return queued


def _plan_next_look(
    recipients: Sequence[OutboxRecipient], verdict: Verdict, leased_until: datetime, now: datetime
) -> None:
    """A person who asked meanwhile has set another time, which stays."""
    unsure = [one for one in recipients if one.state == State.UNCERTAIN]
    looked = OutboxRecipient.objects.filter(
        pk__in=[one.pk for one in unsure], state=State.UNCERTAIN, look_at=leased_until
    )
    if unsure:
        since = max(one.state_at for one in unsure)
        looked.update(look_at=next_look(since, now, prevented=verdict.result == Look.Result.PREVENTED))


def next_look(since: datetime, now: datetime, *, prevented: bool) -> datetime | None:
    """When to look next for what has been uncertain `since`; None: no more by itself.

    prevented: some places could not be looked at; then it goes on for a week.
    """
    following = next((since + step for step in STEPS if since + step > now), None)
    if following is None and prevented and now < since + GIVE_UP:
        return now + WHILE_PREVENTED
    return following
