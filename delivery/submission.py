"""Handing claimed messages to a submission server (RFC 6409), one after the other over one connection.

No transaction is open while it talks. That a message was taken is written together with the mark of the next one, where
that follows at once; both keep their own rows.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from time import monotonic

from django.db import InterfaceError, OperationalError, close_old_connections, transaction
from django.utils import timezone

from accounts.sessions import smtp_session
from delivery import troubles
from delivery.hindrances import REFUSED_ONCE, Hindrance
from delivery.ledger import ClaimLost, Ledger, decisive
from delivery.logins import SECOND_TRY_AFTER, TRIES
from delivery.models import OutboxMessage
from delivery.null_sender import sender_is_named, wants_a_sender
from delivery.retrying import LOOK_AGAIN
from delivery.statements import Taken, write
from delivery.tracing import wanted_reports
from delivery.ways import Way
from mailservers.diagnosis import diagnose
from mailservers.passwords import PasswordUnreadable
from organizations.faultpoints import faultpoint
from organizations.models import Organization
from protocols.diagnosis import Diagnosis, Retry
from protocols.endpoint import Protocol
from protocols.errors import (
    Deferred,
    DestinationRefused,
    LoginRefused,
    MailError,
    OutcomeUnknown,
    Refused,
    Unreachable,
    UnsafeArgument,
)
from protocols.smtp.session import RecipientReply, SmtpSession
from protocols.steps import Step, StepName

log = logging.getLogger(__name__)

SMALL = 200_000  # octets
QUICK = 0.5  # seconds
DATABASE_ERRORS = (OperationalError, InterfaceError)  # of a database that is locked, full or away
DATABASE_WAITS = (0.2, 1, 3, 8, 16)  # seconds
REFUSES_US = frozenset({"relay-denied", "login-required", "sender-refused", "address-blocked"})  # codes of rules
NOBODY_ASKED = (PasswordUnreadable, UnsafeArgument, DestinationRefused)  # errors of ours, before any server hears of us
UNKNOWN_FAILURE = "unknown-failure"  # the code of the diagnosis that knows nothing
REFUSED_AT = {StepName.LOGIN: "the login", StepName.SENDER: "the sender"}  # said of servers that no rule knows


class Line:
    """A connection along one way, opened when the first message needs it and again when it has ended."""

    def __init__(self, way: Way, settled: Callable[[OutboxMessage], None] = lambda message: None) -> None:
        """settled: told of each message whose outcome is written."""
        self.way = way
        self._most = way.limits.messages_per_connection
        self._settled = settled
        self._unwritten: Taken | None = None
        self._exchange = 0.0  # seconds that the last one took
        self._answered_at = 0.0  # when it ended
        self.phase = ""
        self._refused_alone: frozenset[str] = frozenset()  # recipients of the message at hand, refused before its text
        self.tls = ""
        self._carried = 0
        self._session: SmtpSession | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether the next message may go over the connection that is there."""
        if self._session is None or not self._session.usable:
            return False
        return self._carried < self._most

    def close(self) -> None:
        try:
            self.write_outcome()
        finally:
            self._session, self._carried = None, 0
            self._stack.close()

    def write_outcome(self) -> None:
        """Write what the last answer was, where that was left to come with the mark of the next message."""
        taken = self._unwritten
        if taken is None:
            return
        persistently(lambda: write(taken, None, timezone.now()))
        self._outcome_written()

    def _outcome_written(self) -> None:
        taken, self._unwritten = self._unwritten, None
        if taken is not None:
            faultpoint("outcome settled")
            self._settled(taken.message)

    def carry(self, ledger: Ledger) -> Hindrance | None:
        """Hand one message over and settle its recipients. A Hindrance when all behind this login have to wait now.

        Raises ClaimLost where another worker has taken over; nothing of the message was sent then.
        """
        try:
            session = self._session_for(ledger)
        except MailError as exc:
            return self._not_opened(ledger, exc)
        return self._hand_over(ledger, session)

    def _session_for(self, ledger: Ledger) -> SmtpSession:
        mailbox = ledger.message.mailbox
        assert mailbox is not None
        if self.is_open and self._session is not None:
            troubles.cured(mailbox)
            return self._session
        self.close()
        self.phase = "connection"
        through = (self.way.server,) if self.way.detour else ()
        self._session = self._stack.enter_context(smtp_session(mailbox, self._observe, *through))
        self.way.login.note_success()
        troubles.reached(self.way)
        troubles.cured(mailbox)
        faultpoint("logged in")
        return self._session

    def _not_opened(self, ledger: Ledger, error: MailError) -> Hindrance | None:
        """Nothing was said about the message, so it does not fail. What is wrong holds for all that go this way."""
        diagnosis = self._diagnose(error, ledger.message.organization)
        if isinstance(error, LoginRefused):
            hindrance: Hindrance | None = self._login_refused(ledger, error, diagnosis)
        elif isinstance(error, NOBODY_ASKED):
            hindrance = self._nobody_asked(ledger, diagnosis)
        else:
            hindrance = self._out_of_order(ledger, error, diagnosis)
        self._close(ledger, error, diagnosis)
        ledger.do_not_count()
        faultpoint("outcome settled")
        self._settled(ledger.message)
        return hindrance

    def _out_of_order(self, ledger: Ledger, error: MailError, diagnosis: Diagnosis) -> Hindrance | None:
        """The server takes no mail at present: tried again until the message has no time left, whatever the code."""
        now, mailbox = timezone.now(), ledger.message.mailbox
        assert mailbox is not None
        if isinstance(error, Deferred) or diagnosis.retry in (Retry.ONCE_LATER, Retry.NEXT_DAY):
            hindrance = troubles.put_off(self.way, diagnosis, now)
        elif isinstance(error, Unreachable) and diagnosis.retry is not Retry.STOP:
            hindrance = troubles.unreached(self.way, f"{error}", now)
        else:
            hindrance = troubles.unfit(self.way, mailbox, diagnosis, now)
        later = diagnosis if diagnosis.retry is Retry.NEXT_DAY else replace(diagnosis, retry=Retry.BACK_OFF)
        earliest = hindrance.until if hindrance else None
        ledger.refused(ledger.addresses, later, error.reply or str(error), earliest=earliest)
        return hindrance

    def _hand_over(self, ledger: Ledger, session: SmtpSession) -> Hindrance | None:
        message = ledger.message
        self.phase, self._refused_alone = "sender", frozenset()
        self._carried += 1
        if message.size > SMALL or self._exchange > QUICK:
            self.write_outcome()  # the next mark is not that near
        began, hindrance = monotonic(), None
        try:
            replies = session.submit(
                message.envelope_sender,
                ledger.addresses,
                message.raw,
                before_final_dot=lambda: self._mark(ledger),
                on_refused=lambda refused: self._note_refused(ledger, refused),
                on_progress=lambda octets: self._goes_on(ledger, octets),
                reports=wanted_reports(message),
            )
        except OutcomeUnknown as exc:
            self.write_outcome()
            ledger.uncertain(exc.reply)
            self._close(ledger, exc)
            hindrance = troubles.unanswered(self.way, timezone.now())
        except MailError as exc:
            self.write_outcome()
            diagnosis = self._of_message(exc, message.organization, whole=True)
            if wants_a_sender(message, exc, diagnosis):
                diagnosis = sender_is_named(ledger, self.way.endpoint.host, exc.reply)
            else:
                ledger.refused(ledger.addresses, diagnosis, exc.reply or str(exc))
            self._close(ledger, exc, diagnosis)
            hindrance = self._judge(diagnosis, deferred=isinstance(exc, Deferred))
        else:
            self._answered_at = monotonic()
            self._exchange = self._answered_at - began
            faultpoint("reply read")
            if taken := ledger.taken(replies, self.tls):
                self._unwritten = taken  # it is written with the mark of the next message, or when there is none
                self.way.route.release()
                return None
            self.write_outcome()
            answers = self._answers(replies, message.organization)
            persistently(lambda: self._settle(ledger, replies, answers))
            hindrance = self._judge_answers(answers)
        faultpoint("outcome settled")
        self._settled(message)
        return hindrance

    def _goes_on(self, ledger: Ledger, octets: int) -> None:
        """A server may take its time for each recipient; what is known of the message before does not wait for that."""
        ledger.keep_claim(octets)
        if monotonic() - self._answered_at > QUICK:
            self.write_outcome()

    def _note_refused(self, ledger: Ledger, replies: Sequence[RecipientReply]) -> None:
        """Written before the mark: whatever happens after it, nothing is unclear about these."""
        self._refused_alone = frozenset(reply.address for reply in replies)
        with transaction.atomic():
            for alike, words, diagnosis in self._answers(replies, ledger.message.organization):
                if diagnosis is not None:
                    ledger.refused([one.address for one in alike], diagnosis, words)
                    ledger.suppress([one.address for one in alike], diagnosis, words)
        faultpoint("refusals written")

    def _mark(self, ledger: Ledger) -> None:
        """Called when all but the last octets are out. Raises ClaimLost, and then those must not leave."""
        faultpoint("message out, no dot")
        now = timezone.now()
        is_held = write(self._unwritten, ledger.attempt.claim, now)
        self._outcome_written()
        if not is_held:
            raise ClaimLost(f"Attempt {ledger.attempt.pk} lost its claim before the final dot.")
        ledger.marked(now)
        self.phase = "message"
        faultpoint("final dot marked")

    def _answers(self, replies: Sequence[RecipientReply], organization: Organization) -> list[_Answer]:
        return [
            (
                alike,
                words,
                None if accepted else self._of_recipient(alike[0], words, organization),
            )
            for accepted, alike, words in _grouped(replies)
        ]

    def _settle(self, ledger: Ledger, replies: list[RecipientReply], answers: list[_Answer]) -> None:
        """Write all outcomes in one transaction: what the server has taken must never look as if it had not."""
        with transaction.atomic():
            for alike, words, diagnosis in answers:
                addresses = [reply.address for reply in alike]
                if diagnosis is None:
                    ledger.accepted(addresses, words)
                else:
                    ledger.refused(addresses, diagnosis, words)
                    if self.phase != "message":  # it was said of these recipients
                        ledger.suppress(addresses, diagnosis, words)
            diagnoses = [diagnosis for _, _, diagnosis in answers if diagnosis]
            worst = min(diagnoses, key=lambda one: one.retry != Retry.STOP, default=None)
            phase = "sender" if decisive(replies).address in self._refused_alone else self.phase
            ledger.close(phase=phase, tls=self.tls, diagnosis=worst, replies=replies)

    def _judge_answers(self, answers: list[_Answer]) -> Hindrance | None:
        """Judge the server by its answers to one message: some recipients taken is taken, all put off is put off."""
        diagnoses = [diagnosis for _, _, diagnosis in answers if diagnosis is not None]
        if len(diagnoses) < len(answers):
            self.way.route.release()
            return None
        quota = next((diagnosis for diagnosis in diagnoses if diagnosis.retry is Retry.NEXT_DAY), None)
        if quota is not None:
            return troubles.put_off(self.way, quota, timezone.now())
        whole = len(answers) == 1 and self.phase == "message"
        return self._judge(diagnoses[0], deferred=answers[0][0][0].deferred) if whole else None

    def _judge(self, diagnosis: Diagnosis, *, deferred: bool) -> Hindrance | None:
        """What a refusal of a message as a whole means for those behind it."""
        if diagnosis.retry is Retry.STOP or not (deferred or diagnosis.retry is Retry.NEXT_DAY):
            return None
        return troubles.put_off(self.way, diagnosis, timezone.now())

    def _login_refused(self, ledger: Ledger, error: LoginRefused, diagnosis: Diagnosis) -> Hindrance:
        """First refusal: one more try later. Second: everything behind this login waits for new credentials."""
        now, mailbox = timezone.now(), ledger.message.mailbox
        assert mailbox is not None
        hindrance = Hindrance(REFUSED_ONCE, now + SECOND_TRY_AFTER, error.reply)
        if self.way.login.note_refusal(error.reply, now) >= TRIES:
            hindrance = Hindrance(diagnosis.title, now + LOOK_AGAIN, error.reply)
            if self.way.login.is_own:
                troubles.pause(mailbox, diagnosis, now)
            else:
                troubles.tell(mailbox, diagnosis, now)
                troubles.tell_administrators(self.way, diagnosis, self.way.login.occasion(), now)
        ledger.wait(hindrance)
        return hindrance

    def _nobody_asked(self, ledger: Ledger, diagnosis: Diagnosis) -> Hindrance:
        """No server is to blame: it waits until the password is typed again, or an administrator allows the address."""
        now, mailbox = timezone.now(), ledger.message.mailbox
        assert mailbox is not None
        troubles.tell(mailbox, diagnosis, now)
        hindrance = Hindrance(diagnosis.title, now + LOOK_AGAIN)
        ledger.wait(hindrance)
        return hindrance

    def _of_message(self, error: MailError, organization: Organization, *, whole: bool = False) -> Diagnosis:
        """What a refusal means for the message. `whole`: it was refused before any recipient was.

        What a 4yz puts off is not given up after the second time. That a server which stands in for another may not
        let this login send as that address is no reason to fail for good: the message waits for its own server.
        """
        diagnosis = self._diagnose(error, organization)
        if isinstance(error, Deferred) and diagnosis.retry is Retry.ONCE_LATER:
            return replace(diagnosis, retry=Retry.BACK_OFF)
        about_us = whole or diagnosis.code in REFUSES_US
        if self.way.detour and about_us and diagnosis.retry is Retry.STOP:
            return replace(diagnosis, retry=Retry.BACK_OFF)
        return diagnosis

    def _of_recipient(self, reply: RecipientReply, words: str, organization: Organization) -> Diagnosis:
        diagnosis = self._of_message(_as_error(reply, words), organization)
        if diagnosis.code != UNKNOWN_FAILURE:
            return diagnosis
        of_all = self.phase == "message" and reply.address not in self._refused_alone
        what = "the message" if of_all else "the message for this recipient"
        return replace(diagnosis, title=f"{self.way.endpoint.host} did not take {what}.")

    def _observe(self, step: Step) -> None:
        self.phase = step.name.value
        if step.name in (StepName.TLS, StepName.STARTTLS):
            self.tls = step.detail.partition(",")[0]

    def _diagnose(self, error: MailError, organization: Organization) -> Diagnosis:
        provider = self.way.provider
        diagnosis = diagnose(
            error,
            protocol=Protocol.SMTP,
            endpoint=self.way.endpoint,
            provider_key=provider.key if provider else "",
            organization=organization,
        )
        if diagnosis.code == UNKNOWN_FAILURE and isinstance(error, Deferred | Refused) and error.step in REFUSED_AT:
            title = f"{self.way.endpoint.host} did not take {REFUSED_AT[error.step]}."
            diagnosis = replace(diagnosis, title=title)
        if diagnosis.code == UNKNOWN_FAILURE and isinstance(error, Deferred | Unreachable):
            return replace(diagnosis, retry=Retry.BACK_OFF)  # no rule matched: the kind of error decides
        return diagnosis

    def _close(self, ledger: Ledger, error: MailError, diagnosis: Diagnosis | None = None) -> None:
        phase = error.step.value if error.step else self.phase
        ledger.close(phase=phase, tls=self.tls, error=error, diagnosis=diagnosis)


_Answer = tuple[list[RecipientReply], str, Diagnosis | None]  # those with the same answer, its words, what it means


def persistently(write: Callable[[], object]) -> None:
    """Run one transaction until the database takes it, for up to half a minute (fault R5).

    What a server has answered is known only here, so a database that stumbles must not lose it. Every write is
    conditional: repeating one whose commit got through after all changes nothing.
    """
    for wait in DATABASE_WAITS:
        try:
            write()
        except DATABASE_ERRORS as exc:
            log.warning("The outcome of a submission is not written yet: %s", exc)
            close_old_connections()
            time.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311
        else:
            return
    write()


def _grouped(replies: Iterable[RecipientReply]) -> Iterator[tuple[bool, list[RecipientReply], str]]:
    """Put recipients with the same answer together: it is explained and written once. Yields the server's words too."""

    def answer(reply: RecipientReply) -> tuple[bool, int, str]:
        return reply.accepted, reply.code, reply.text

    for (accepted, _, _), alike in groupby(sorted(replies, key=answer), key=answer):
        same = list(alike)
        yield accepted, same, f"{same[0].code or ''} {same[0].text}".strip()


def _as_error(reply: RecipientReply, words: str) -> MailError:
    kind = Deferred if reply.deferred else Refused
    return kind(reply.text or "The server refused this recipient.", reply=words, code=reply.code)
