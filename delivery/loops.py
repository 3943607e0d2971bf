"""The one place that decides whether a program's mail may go (RFC 3834; spec I8, threat T24).

Asked by `outbox.enqueue`, in the transaction that writes the mail, for everything that is marked as automatic: answers
and other mail that programs send through the API, and the notices of the product. What a person sends is not asked.

An automatic answer goes to whoever wrote, never to a program, a list or ourselves, and once a day to each. All
automatic mail is counted, per address and per conversation, over all workers: however two programs come to write to
each other, it ends there.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Count

from delivery.models import AutomaticMail, OutboxMessage, Suppression
from delivery.refusals import MustNotGo
from delivery.states import Automatic
from delivery.tracing import marked_identifier
from mailstore.packs import RawUnavailable, read_beginning
from organizations.models import Organization
from protocols.message.loops import Objection, objection_to_answering, senders_of

PERIOD: Final = timedelta(days=1)
KEPT_FOR: Final = timedelta(days=3)
HEADER: Final = 128 * 1024  # octets that hold the header section of what is answered
NAMED: Final = 3  # addresses in a sentence

WORDS: Final = {
    Objection.AUTOMATIC: "a program wrote it, and programs must not answer each other.",
    Objection.LIST: "it came over a mailing list, where all would get the answer.",
    Objection.BULK: "it was sent to many at once.",
    Objection.BOUNCE: "it is a delivery report, or asks that nothing comes back.",
    Objection.UNWANTED: "its sender asked for no automatic answers.",
    Objection.PROGRAM: "nobody reads what is sent to its address.",
    Objection.OWN: "it was written here.",
    Objection.HOPS: "it has passed so many servers that it must be going round in circles.",
    Objection.NOBODY: "it does not say who wrote it.",
}


def admit(message: OutboxMessage, addresses: Collection[str], now: datetime) -> None:
    """Count an automatic mail that has just been written, or raise MustNotGo. To be called in its transaction.

    The row of the organization is locked meanwhile, so that two workers never both find the last place.
    """
    organization = Organization.objects.select_for_update(no_key=True).get(pk=message.organization_id)
    keys = {Suppression.key(address) for address in addresses}
    if message.automatic == Automatic.REPLIED:
        _check_answer(message, keys, now)
    _check_counts(organization, message, keys, now)
    conversation_pk = message.answers.conversation_id if message.answers else None
    AutomaticMail.objects.bulk_create(
        AutomaticMail(organization=organization, message=message, address=key, conversation_id=conversation_pk, at=now)
        for key in keys
    )


def forget(now: datetime) -> None:
    """Remove what is counted no more."""
    AutomaticMail.objects.filter(at__lt=now - KEPT_FOR).delete()


def _check_answer(message: OutboxMessage, keys: Collection[str], now: datetime) -> None:
    answered, mailbox = message.answers, message.mailbox
    assert mailbox is not None
    if answered is None:  # it was there when the first answer was written
        raise MustNotGo("unreadable", "The message that this answers is gone, so no program answers it once more.")
    try:
        beginning = read_beginning(answered, HEADER)
    except RawUnavailable as exc:
        raise MustNotGo("unreadable", "The message cannot be read from the disk, so no program answers it.") from exc
    own = {mailbox.address, message.sender}
    if objection := objection_to_answering(beginning, own=own, knows_mark=_is_our_mark):
        raise MustNotGo(objection, f"No program answers this message: {WORDS[objection]}")
    if others := sorted(set(keys) - senders_of(beginning)):
        raise MustNotGo(
            "others", f"An automatic answer goes to whoever wrote the message, and not to {_named(others)}."
        )
    recent = AutomaticMail.objects.filter(
        organization_id=message.organization_id, address__in=keys, at__gt=now - PERIOD
    )
    answers = recent.filter(message__automatic=Automatic.REPLIED, message__mailbox=mailbox)
    if (last := answers.order_by("at").last()) is not None:
        raise MustNotGo(
            "once-a-day",
            f"{last.address} got an automatic answer from {mailbox.address} within the last day; one a day is enough.",
            last.at + PERIOD,
        )


def _check_counts(organization: Organization, message: OutboxMessage, keys: Collection[str], now: datetime) -> None:
    recent = AutomaticMail.objects.filter(organization=organization, at__gt=now - PERIOD)
    per_recipient = organization.automatic_per_recipient
    counted = recent.filter(address__in=keys).order_by().values_list("address").annotate(Count("pk"))
    if full := sorted(address for address, number in counted if number >= per_recipient):
        verb = "has" if len(full) == 1 else "have"
        raise MustNotGo(
            "recipient-limit",
            f"{_named(full)} {verb} got {per_recipient} automatic mails within a day, which is the limit. "
            "An administrator can change it in the email options.",
            now + timedelta(hours=1),
        )
    if message.answers is None:
        return
    per_thread = organization.automatic_per_thread
    if recent.filter(conversation=message.answers.conversation_id).count() >= per_thread:
        raise MustNotGo(
            "thread-limit",
            f"{per_thread} automatic mails were sent in this conversation within a day, which is the limit. "
            "An administrator can change it in the email options.",
            now + timedelta(hours=1),
        )


def _is_our_mark(value: str) -> bool:
    return bool(marked_identifier(value))


def _named(addresses: Collection[str]) -> str:
    listed = list(addresses)
    more = len(listed) - NAMED
    return ", ".join(listed[:NAMED]) + (f" and {more} more" if more > 0 else "")
