"""Handing a claimed message to its submission server (RFC 6409). No transaction is open while it talks."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from itertools import groupby

from django.db import OperationalError, close_old_connections, transaction
from django.utils import timezone

from accounts.disconnections import tell_connected, tell_disconnected
from accounts.models import Mailbox
from accounts.sessions import smtp_session
from delivery.hindrances import REFUSED_ONCE, hindrance_to
from delivery.ledger import ClaimLost, Ledger, take_back
from delivery.logins import SECOND_TRY_AFTER, TRIES, Login
from delivery.models import Attempt, OutboxMessage
from delivery.retrying import LOOK_AGAIN
from mailservers.diagnosis import diagnose
from mailservers.passwords import PasswordUnreadable
from organizations import live
from organizations.faultpoints import faultpoint
from protocols.diagnosis import Diagnosis, Retry
from protocols.endpoint import Protocol
from protocols.errors import Deferred, LoginRefused, MailError, OutcomeUnknown, Refused, Unreachable
from protocols.smtp.session import RecipientReply
from protocols.steps import Step, StepName

log = logging.getLogger(__name__)

DATABASE_WAITS = (0.2, 1, 3, 8, 16)  # seconds
UNKNOWN_FAILURE = "unknown-failure"  # the code of the diagnosis that knows nothing


def submit(attempt: Attempt) -> None:
    """Carry out one attempt for the recipients it has claimed, and settle each of them.

    An error that is no mail error leaves the rows as a vanished worker would, settled at once, and is raised.
    """
    related = ("mailbox__mail_server__provider", "mailbox__provider", "author", "organization")
    message = OutboxMessage.objects.select_related(*related).get(pk=attempt.message_id)
    ledger = Ledger(attempt, message)
    live.announce(message.organization_id, "outbox", message.pk)
    try:
        _carry_out(ledger)
    except ClaimLost:
        log.warning("Attempt %s at message %s lost its claim and sent nothing.", attempt.pk, message.pk)
        ledger.close(phase="claim", text="Another worker had taken over; nothing was handed over.")
    except Exception:
        take_back(attempt.pk, timezone.now())
        raise
    finally:
        live.announce(message.organization_id, "outbox", message.pk)


def _carry_out(ledger: Ledger) -> None:
    now = timezone.now()
    if hindrance := hindrance_to(ledger.message, now):
        if hindrance.until is None:
            ledger.fail(hindrance.note)
        else:
            ledger.wait(hindrance.note, hindrance.until, hindrance.reply)
        ledger.close(phase="before connecting", text=hindrance.note)
        return
    if all(recipient.expires_at < now for recipient in ledger.recipients.values()):
        ledger.fail("It could not be sent within two days, and it is not sent that late by itself.")
        ledger.close(phase="before connecting", text="Its time had run out.")
        return
    mailbox = ledger.message.mailbox
    assert mailbox is not None
    ledger.attempt.server = str(mailbox.outgoing())
    ledger.attempt.save(update_fields=["server"])
    faultpoint("attempt written")
    _Conversation(ledger, mailbox).hold()


class _Conversation:
    """One connection for one message: how far it came, and what each end of it means."""

    def __init__(self, ledger: Ledger, mailbox: Mailbox) -> None:
        self.ledger = ledger
        self.mailbox = mailbox
        self.login = Login.of(mailbox)
        self.phase = "connection"
        self.tls = ""

    def hold(self) -> None:
        message = self.ledger.message
        try:
            with smtp_session(self.mailbox, self._observe) as session:
                self._logged_in()
                replies = session.submit(
                    message.sender, self.ledger.addresses, bytes(message.raw), before_final_dot=self._before_final_dot
                )
        except OutcomeUnknown as exc:
            for _, alike, words in _grouped(exc.refused):
                self.ledger.refused([one.address for one in alike], self._diagnose(_as_error(alike[0], words)), words)
            self.ledger.uncertain(exc.reply)
            self._close(exc)
        except LoginRefused as exc:
            self._login_refused(exc)
        except PasswordUnreadable as exc:
            self._password_unreadable(exc)
        except MailError as exc:
            diagnosis = self._diagnose(exc)
            self.ledger.refused(self.ledger.addresses, diagnosis, exc.reply or str(exc))
            self._close(exc, diagnosis)
        else:
            faultpoint("reply read")
            persistently(lambda: self._settle(replies))
        faultpoint("outcome settled")

    def _settle(self, replies: list[RecipientReply]) -> None:
        """Write all outcomes in one transaction: what the server has taken must never look as if it had not."""
        answers = [
            (alike, words, None if accepted else self._diagnose(_as_error(alike[0], words)))
            for accepted, alike, words in _grouped(replies)
        ]
        with transaction.atomic():
            for alike, words, diagnosis in answers:
                addresses = [reply.address for reply in alike]
                if diagnosis is None:
                    self.ledger.accepted(addresses, words)
                else:
                    self.ledger.refused(addresses, diagnosis, words)
            troubles = [diagnosis for _, _, diagnosis in answers if diagnosis]
            worst = min(troubles, key=lambda trouble: trouble.retry != Retry.STOP, default=None)
            self.ledger.close(phase=self.phase, tls=self.tls, diagnosis=worst, replies=replies)

    def _login_refused(self, error: LoginRefused) -> None:
        """First refusal: one more try later. Second: everything behind this login waits for new credentials."""
        now = timezone.now()
        diagnosis = self._diagnose(error)
        if self.login.note_refusal(error.reply, now) < TRIES:
            self.ledger.wait(REFUSED_ONCE, now + SECOND_TRY_AFTER, error.reply)
        else:
            self._hold_back(diagnosis)
            self.ledger.wait(diagnosis.title, now + LOOK_AGAIN, error.reply)
        self._close(error, diagnosis)

    def _password_unreadable(self, error: PasswordUnreadable) -> None:
        """Nobody was asked, so nothing fails: it waits until the password is typed again, or the key comes back."""
        now = timezone.now()
        diagnosis = self._diagnose(error)
        self._tell(diagnosis, now)
        self.ledger.wait(diagnosis.title, now + LOOK_AGAIN)
        self._close(error, diagnosis)

    def _tell(self, diagnosis: Diagnosis, now: datetime) -> None:
        """Put it on the mailbox's card, where nothing else stands there."""
        attention = diagnosis.as_json() | {"protocol": Protocol.SMTP.value}
        untold = Mailbox.objects.filter(pk=self.mailbox.pk, attention__isnull=True)
        with transaction.atomic():
            if untold.update(attention=attention, attention_since=now):
                tell_disconnected(self.mailbox, diagnosis, now)
        live.announce(self.mailbox.organization_id, "mailbox", self.mailbox.pk)

    def _hold_back(self, diagnosis: Diagnosis) -> None:
        """Tell the mailbox's people, and pause it where the refused credentials are its own."""
        now = timezone.now()
        if not self.login.is_own:
            self._tell(diagnosis, now)
            return
        attention = diagnosis.as_json() | {"protocol": Protocol.SMTP.value}
        active = Mailbox.objects.filter(pk=self.mailbox.pk, paused_at=None)
        with transaction.atomic():
            if active.update(paused_at=now, attention=attention, attention_since=now):
                tell_disconnected(self.mailbox, diagnosis, now)
        live.announce(self.mailbox.organization_id, "mailbox", self.mailbox.pk)

    def _logged_in(self) -> None:
        self.phase = "sender"
        self.login.note_success()
        if self.mailbox.attention:  # perhaps told through another login, or by the refusal of a shared one
            told = Mailbox.objects.filter(pk=self.mailbox.pk, attention__protocol=Protocol.SMTP.value)
            if told.update(attention=None, attention_since=None):
                tell_connected(self.mailbox, timezone.now())
                live.announce(self.mailbox.organization_id, "mailbox", self.mailbox.pk)
        elif self.mailbox.disconnected_at is not None and not self.mailbox.imap_host:
            tell_connected(self.mailbox, timezone.now())  # new credentials took the trouble off the card before
        faultpoint("logged in")

    def _before_final_dot(self) -> None:
        faultpoint("message out, no dot")
        self.ledger.mark_final_dot()
        self.phase = "message"
        faultpoint("final dot marked")

    def _observe(self, step: Step) -> None:
        self.phase = step.name.value
        if step.name in (StepName.TLS, StepName.STARTTLS):
            self.tls = step.detail.partition(",")[0]

    def _diagnose(self, error: MailError) -> Diagnosis:
        provider = self.mailbox.mail_server.provider if self.mailbox.mail_server else self.mailbox.provider
        endpoint = self.mailbox.outgoing()
        assert endpoint is not None
        diagnosis = diagnose(
            error,
            protocol=Protocol.SMTP,
            endpoint=endpoint,
            provider_key=provider.key if provider else "",
            organization=self.ledger.message.organization,
        )
        if diagnosis.code == UNKNOWN_FAILURE and isinstance(error, Deferred | Unreachable):
            return replace(diagnosis, retry=Retry.BACK_OFF)  # no rule matched: the kind of error decides
        return diagnosis

    def _close(self, error: MailError, diagnosis: Diagnosis | None = None) -> None:
        phase = error.step.value if error.step else self.phase
        self.ledger.close(phase=phase, tls=self.tls, error=error, diagnosis=diagnosis)


def persistently(write: Callable[[], None]) -> None:
    """Run one transaction until the database takes it, for up to half a minute (fault R5).

    What a server has answered is known only here, so a database that stumbles must not lose it. Every write is
    conditional: repeating one whose commit got through after all changes nothing.
    """
    for wait in DATABASE_WAITS:
        try:
            return write()
        except OperationalError as exc:
            log.warning("The outcome of a submission is not written yet: %s", exc)
            close_old_connections()
            time.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311
    return write()


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
