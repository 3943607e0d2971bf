"""What is known of a message of which nobody knows whether it was sent: for its page and for the API (spec I3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from delivery.evidence import was_left_open, was_never_repeated
from delivery.models import Attempt, Look, OutboxMessage, OutboxRecipient
from delivery.states import State


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """people: the uncertain recipients; of others the outcome is known.

    attempt:   in which the answer was lost; None after the restore of a backup: what came later is not known.
    version:   what a decision names, so that it is never about an attempt that its author had not seen.
    next_look: None: no more by itself.
    """

    people: Sequence[OutboxRecipient]
    attempt: Attempt | None
    looks: Sequence[Look]
    next_look: datetime | None
    version: int
    retries: bool
    now: datetime

    @property
    def since(self) -> datetime:
        return max(one.state_at for one in self.people)

    @property
    def cause(self) -> str:
        """What happened, in a sentence or two."""
        return next((one.note for one in self.people if one.note), "")

    @property
    def last_words(self) -> str:
        """What the server said before the line broke, if anything."""
        return next((one.last_reply for one in self.people if one.last_reply), "")

    @property
    def is_being_looked_for(self) -> bool:
        """A look is due; its result comes by itself."""
        return self.next_look is not None and self.next_look <= self.now

    @property
    def newest_look(self) -> Look | None:
        return self.looks[0] if self.looks else None

    @property
    def earlier_looks(self) -> Sequence[Look]:
        return self.looks[1:]


def uncertainty_of(
    message: OutboxMessage,
    recipients: Sequence[OutboxRecipient],
    attempts: Sequence[Attempt],
    looks: Sequence[Look],
    now: datetime,
) -> Uncertainty | None:
    """The rows are all of the message, oldest first. None: of nobody is the outcome unknown."""
    unsure = [one for one in recipients if one.state == State.UNCERTAIN]
    if not unsure:
        return None
    version = max(one.claim for one in unsure)
    claims = {claim for one in unsure for claim in (one.claim, one.may_have_left_in)}
    attempt = next((one for one in reversed(attempts) if one.claim in claims and was_left_open(one)), None)
    planned = [one.look_at for one in unsure if one.look_at is not None]
    mailbox = message.mailbox
    return Uncertainty(
        people=unsure,
        attempt=attempt,
        looks=looks[::-1],
        next_look=min(planned, default=None),
        version=version,
        retries=mailbox is not None
        and mailbox.retries_uncertain
        and attempt is not None
        and any(was_never_repeated(one) for one in unsure),
        now=now,
    )
