"""Telling authors what became of their mail (spec A7), in the transaction in which it happened."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.urls import reverse

from delivery.models import Ended, OutboxMessage, OutboxRecipient
from delivery.states import Origin, State
from notifications.kinds import Kind
from notifications.models import Notification
from notifications.telling import LIVE_KIND, tell
from organizations import live

KINDS = {
    State.FAILED: Kind.MESSAGE_FAILED,
    State.BOUNCED: Kind.MESSAGE_FAILED,
    State.UNCERTAIN: Kind.MESSAGE_UNCERTAIN,
}
TITLES = {State.BOUNCED: "A message of yours came back"}
LONGEST_SUBJECT = 120


def tell_of_outcome(message: OutboxMessage, state: State, settled: int, *, claim: int | str, now: datetime) -> None:
    """`settled` recipients of `message` have just reached `state`: failed, uncertain or bounced.

    claim: what brought them there, so that it is told once: the attempt, the arrival of a delivery report, or the
    restore of a backup.

    The author is told when the first ones do: then the message shows that state, and its page names the others too.
    A notice of ours that failed goes by account mail instead, and tells nobody.
    """
    if not settled:
        return
    if message.origin == Origin.NOTICE:
        if state is State.FAILED:
            _hand_over_to_account_mail(message, now)
        return
    if message.author is None:
        return
    reached = list(OutboxRecipient.objects.filter(message=message, state=state).order_by("pk")[: settled + 1])
    if len(reached) > settled:
        return
    kind = KINDS[state]
    tell(
        [message.author],
        kind,
        title=TITLES.get(state, str(kind.label)),
        text=f"{_name(message)} to {_addresses(reached)}: {reached[0].note}",
        url=reverse("delivery:message", args=[message.pk]),
        key=f"message-{message.pk}-{state}-{claim}",
        now=now,
    )


def tell_of_end(message: OutboxMessage, ended: Ended, *, claim: int, now: datetime) -> None:
    """Recipients of `message` have failed just now; some of them may have got it before, and are uncertain."""
    tell_of_outcome(message, State.FAILED, ended.settled, claim=claim, now=now)
    tell_of_outcome(message, State.UNCERTAIN, ended.unsure, claim=claim, now=now)


def tell_settled(message: OutboxMessage, now: datetime) -> None:
    """Where nothing of `message` is uncertain any more, its author need not look, nor get a mail that asks for it."""
    if OutboxRecipient.objects.filter(message=message, state=State.UNCERTAIN).exists():
        return
    mine = Notification.objects.filter(user=message.author_id, url=reverse("delivery:message", args=[message.pk]))
    unread = mine.filter(kind=Kind.MESSAGE_UNCERTAIN).unread()
    if message.author_id is not None and unread.update(read_at=now, mail_due_at=None):
        live.announce(message.organization_id, LIVE_KIND, message.author_id)


def tell_of_complaint(message: OutboxMessage, addresses: Sequence[str], *, arrival: int, now: datetime) -> None:
    """A recipient of `message` marked it as spam. addresses: who did, as far as it is known."""
    if message.author is None:
        return
    who = addresses[0] if len(addresses) == 1 else "Somebody"
    tell(
        [message.author],
        Kind.MESSAGE_FAILED,
        title="A message of yours was marked as spam",
        text=f"{_name(message)}: {who} marked it as spam in the mail program.",
        url=reverse("delivery:message", args=[message.pk]),
        key=f"message-{message.pk}-complaint-{arrival}",
        now=now,
    )


def _name(message: OutboxMessage) -> str:
    subject = message.subject.strip()
    if not subject:
        return "The message without a subject"
    return f"“{subject}”" if len(subject) <= LONGEST_SUBJECT else f"“{subject[:LONGEST_SUBJECT].rstrip()} ...”"


def _addresses(recipients: Sequence[OutboxRecipient]) -> str:
    first, *others = recipients
    return f"{first.address} and {len(others)} more" if others else first.address


def _hand_over_to_account_mail(message: OutboxMessage, now: datetime) -> None:
    """Nothing of it was handed over, so mailing its notifications again mails them once."""
    mailed = Notification.objects.filter(mail_key=message.submission_key)
    mailed.update(mailed_at=None, mail_due_at=now, mail_key=Notification.ACCOUNT_MAIL)
