"""What a find proves about a message whose outcome is not known (fault R19). Pure: rows and finds are given in.

A server that takes mail leaves traces: Received fields on every copy that it passes on (RFC 5321, 4.4), a copy in Sent
where it files sent mail itself, answers, delivery reports. A copy that we may have filed ourselves proves nothing. And
a trace of one handing over says nothing about another one: who got it in which is then for a person to judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from delivery.models import Attempt, Look, OutboxMessage, OutboxRecipient
from delivery.states import State


@dataclass(frozen=True, slots=True)
class Copy:
    """A stored message with the Message-ID of ours.

    holder:    address of the mailbox that it lies in.
    in_sent:   whether it lies in the Sent folder of the mailbox that it was to leave from.
    is_traced: whether a server has put a Received field on it.
    """

    holder: str
    in_sent: bool
    is_traced: bool


@dataclass(frozen=True, slots=True)
class Finds:
    """What one look saw.

    sentences: one for each place; complete: whether all places could be looked at.
    answered:  whether some stored mail refers to it.
    """

    copies: tuple[Copy, ...] = ()
    answered: bool = False
    sentences: tuple[str, ...] = ()
    complete: bool = True

    def __add__(self, other: Finds) -> Finds:
        return Finds(
            self.copies + other.copies,
            self.answered or other.answered,
            self.sentences + other.sentences,
            self.complete and other.complete,
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows, in a sentence. sent: the uncertain recipients that it was sent to."""

    result: Look.Result
    sentence: str
    sent: tuple[OutboxRecipient, ...] = ()


def judge(
    message: OutboxMessage,
    recipients: Sequence[OutboxRecipient],
    attempts: Sequence[Attempt],
    finds: Finds,
    *,
    filing_provider: str = "",
) -> Verdict:
    """`recipients` and `attempts`: all of the message. filing_provider: who files sent mail itself, "" for nobody."""
    unsure = [one for one in recipients if one.state == State.UNCERTAIN]
    answers = {attempt.pk: _accepted_in(attempt) for attempt in attempts}
    if late := [one for one in unsure if one.address.casefold() in answers.get(one.claim, ())]:
        return Verdict(Look.Result.SENT, "The server’s answer came late: it had taken the message.", tuple(late))
    traces = [copy for copy in finds.copies if _proves_handing_over(copy, message)]
    if traces or finds.answered or _came_back(recipients, unsure):
        if _handed_over_once(recipients, unsure, attempts):
            return Verdict(Look.Result.SENT, "So the server had taken it: it was sent.", tuple(unsure))
        holders = {copy.holder.casefold() for copy in traces if copy.is_traced}
        if arrived := [one for one in unsure if one.address.casefold() in holders]:
            people = ", ".join(one.address for one in arrived)[:300]
            return Verdict(Look.Result.SENT, f"So it arrived at {people}.", tuple(arrived))
        return Verdict(
            Look.Result.UNCLEAR,
            "So it was handed over at least once, but that may have been to others, or another time. You decide.",
        )
    if not finds.complete:
        return Verdict(Look.Result.PREVENTED, "So this look tells nothing yet.")
    return Verdict(Look.Result.NOTHING, _nothing(filing_provider))


def was_left_open(attempt: Attempt | None) -> bool:
    """Whether all of the message was out in this attempt and no answer came."""
    return attempt is not None and attempt.final_dot_at is not None and not attempt.replies and not attempt.code


def was_never_repeated(recipient: OutboxRecipient) -> bool:
    """Whether neither a person nor the setting of the mailbox has let it be sent again already at the risk of two."""
    return recipient.may_have_left_in is None and not recipient.was_retried_uncertain


def _proves_handing_over(copy: Copy, message: OutboxMessage) -> bool:
    return copy.is_traced or (copy.in_sent and message.sent_copy_tries == 0)


def _came_back(recipients: Sequence[OutboxRecipient], unsure: Sequence[OutboxRecipient]) -> bool:
    """Whether a report told of somebody to whom it left in the same attempt."""
    claims = {one.claim for one in unsure}
    return any(one.state == State.BOUNCED and one.claim in claims for one in recipients)


def _handed_over_once(
    recipients: Sequence[OutboxRecipient], unsure: Sequence[OutboxRecipient], attempts: Sequence[Attempt]
) -> bool:
    """Whether a trace can only stem from one handing over, and that one was to all uncertain recipients.

    Of a worker that vanished the server's word on each recipient is lost, and of what happened after a backup all is:
    then only a single recipient is beyond doubt.
    """
    possible = [attempt for attempt in attempts if attempt.final_dot_at is not None and not _was_refused(attempt)]
    if not possible:
        return len(recipients) == 1
    [first, *others] = possible
    if others or not was_left_open(first) or not all(_was_lost_in(first, one) for one in unsure):
        return False
    return not first.was_lost or sum(_was_lost_in(first, one) for one in recipients) == 1


def _was_lost_in(attempt: Attempt, recipient: OutboxRecipient) -> bool:
    """Whether `recipient` had its part in this handing over, whatever came of a later one."""
    earlier = recipient.may_have_left_in
    return attempt.claim == (recipient.claim if earlier is None else earlier)


def _was_refused(attempt: Attempt) -> bool:
    codes = [reply["code"] for reply in attempt.replies] or [attempt.code]
    return all(code >= 400 for code in codes)


def _accepted_in(attempt: Attempt) -> frozenset[str]:
    if attempt.final_dot_at is None:
        return frozenset()
    return frozenset(reply["address"].casefold() for reply in attempt.replies if 200 <= reply["code"] < 300)


def _nothing(filing_provider: str) -> str:
    if filing_provider:
        return f"{filing_provider} files in Sent what it takes, so it was probably not sent. That is not certain."
    return "As far as is known the server files no sent mail by itself, so that says little. Ask the recipient."
