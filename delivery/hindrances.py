"""Why a claimed message must not go out now: asked before any connection is opened (spec F3, threat T19)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from accounts.models import Mailbox
from accounts.rights import Right
from delivery.logins import SECOND_TRY_AFTER, TRIES, Login, may_try
from delivery.models import OutboxMessage
from delivery.retrying import LOOK_AGAIN
from delivery.states import Origin


@dataclass(frozen=True, slots=True)
class Hindrance:
    """note: a sentence; where it only waits, one that goes on after a colon.

    until: when to look again; None: never, the message fails. reply: the server's words, where it had any.
    """

    note: str
    until: datetime | None = None
    reply: str = ""


def hindrance_to(message: OutboxMessage, now: datetime) -> Hindrance | None:
    """Return what stands in the way of sending `message` now, None when nothing does."""
    mailbox, author = message.mailbox, message.author
    if mailbox is None:
        return Hindrance("The email account it was to be sent from has been deleted.")
    if message.origin != Origin.NOTICE:
        if author is None:
            return Hindrance("The person who wrote it no longer exists here.")
        if not Mailbox.objects.allowing(Right.SEND, author, now).filter(pk=mailbox.pk).exists():
            return Hindrance(f"{author} is not permitted to send from {mailbox} any more.")
    if not mailbox.can_send:
        return Hindrance(f"{mailbox} cannot send any more: {why_it_cannot_send(mailbox)}")
    return waiting_for_login(mailbox, now)


def why_it_cannot_send(mailbox: Mailbox) -> str:
    """One sentence with the cure, for a mailbox that `can_send` is not true of."""
    if not mailbox.sends:
        return "“Send emails using this mailbox” is switched off in its settings."
    return "it has no outgoing server. Choose one in its settings."


def waiting_for_login(mailbox: Mailbox, now: datetime) -> Hindrance | None:
    """What holds back everything from `mailbox`: a pause, or a login that is refused."""
    login = Login.of(mailbox)
    if login.is_own and mailbox.paused_at is not None:
        return Hindrance(f"{mailbox} is paused; its settings need attention.", now + LOOK_AGAIN)
    refusal = login.refusal()
    if refusal is None or may_try(refusal, now):
        return None
    if refusal.count < TRIES:
        return Hindrance(REFUSED_ONCE, refusal.last_at + SECOND_TRY_AFTER, refusal.reply)
    whose = mailbox.address if login.is_own else f"the mail server “{mailbox.mail_server}”"
    return Hindrance(
        f"the server refuses the password of {whose}; correct it in the settings.",
        now + LOOK_AGAIN,
        refusal.reply,
    )


REFUSED_ONCE = "the server refused the login; it is tried once more after ten minutes."
