"""Why a claimed message must not go out now: asked before any connection is opened (spec F3, threat T19)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from accounts.models import Mailbox
from accounts.rights import Right
from delivery.logins import SECOND_TRY_AFTER, TRIES, Login, may_try
from delivery.models import OutboxMessage
from delivery.retrying import LOOK_AGAIN
from delivery.senders import ReplyPolicy, is_still_allowed
from delivery.states import Origin
from organizations.models import User
from protocols.message.addresses import parse_addresses


@dataclass(frozen=True, slots=True)
class Hindrance:
    """note: a sentence; where it only waits, one that goes on after a colon.

    until: when to look again; None: never, the message fails. reply: the server's words, where it had any.
    """

    note: str
    until: datetime | None = None
    reply: str = ""


WITHOUT_MAILBOX = Hindrance("The email account it was to be sent from has been deleted.")
MaySend = Callable[[User, Mailbox], bool]


def asking_once(now: datetime) -> MaySend:
    """Whether somebody may send from a mailbox, asked of the database once for each pair: for a batch, not for long."""

    known: dict[tuple[int, int], bool] = {}

    def ask(author: User, mailbox: Mailbox) -> bool:
        pair = author.pk, mailbox.pk
        if pair not in known:
            known[pair] = Mailbox.objects.allowing(Right.SEND, author, now).filter(pk=mailbox.pk).exists()
        return known[pair]

    return ask


def hindrance_to(message: OutboxMessage, may_send: MaySend) -> Hindrance | None:
    """Return what keeps `message` itself from being sent; what holds back its whole way out is asked of `ways`."""
    mailbox, author = message.mailbox, message.author
    if mailbox is None:
        return WITHOUT_MAILBOX
    if message.origin != Origin.NOTICE:
        if author is None:
            return Hindrance("The person who wrote it no longer exists here.")
        if not may_send(author, mailbox):
            return Hindrance(f"{author} is not permitted to send from {mailbox} any more.")
    if not may_stand_in_from(message, mailbox):
        return Hindrance(f"{mailbox} is not permitted to send as {message.from_header} any more.")
    if not mailbox.can_send:
        return Hindrance(f"{mailbox} cannot send any more: {why_it_cannot_send(mailbox)}")
    return None


def may_stand_in_from(message: OutboxMessage, mailbox: Mailbox) -> bool:
    """Whether its From is an identity of the mailbox, or what the mail server's reply-to policy still allows."""
    written = _address_in(message.from_header)
    address = message.sender if written is None else written
    policy = ReplyPolicy.of(mailbox.mail_server)
    return is_still_allowed(address, message.sender_step, identities=mailbox.identities, policy=policy)


@lru_cache(maxsize=256)
def _address_in(from_header: str) -> str | None:
    """The address in From, the same one in most messages of a queue; None where there is none."""
    addresses = parse_addresses([from_header.encode()], "utf-8").addresses
    if not addresses:
        return None
    [written] = addresses
    return written.address


def why_it_cannot_send(mailbox: Mailbox) -> str:
    """One sentence with the cure, for a mailbox that `can_send` is not true of."""
    if not mailbox.sends:
        return "“Send emails using this mailbox” is switched off in its settings."
    return "it has no outgoing server. Choose one in its settings."


def waiting_for_login(mailbox: Mailbox, now: datetime) -> Hindrance | None:
    """What holds back everything from `mailbox`: a pause, or a login that is refused."""
    if mailbox.mail_server is not None:
        return refused_login(Login.at(mailbox.mail_server), f"the mail server “{mailbox.mail_server}”", now)
    if mailbox.paused_at is not None:
        return Hindrance(f"{mailbox} is paused; its settings need attention.", now + LOOK_AGAIN)
    return refused_login(Login.of(mailbox), mailbox.address, now)


def refused_login(login: Login, whose: str, now: datetime) -> Hindrance | None:
    """The wait after a server refused these credentials; None where they may be offered."""
    refusal = login.refusal()
    if refusal is None or may_try(refusal, now):
        return None
    if refusal.count < TRIES:
        return Hindrance(REFUSED_ONCE, refusal.last_at + SECOND_TRY_AFTER, refusal.reply)
    words = f"the server refuses the password of {whose}; correct it in the settings."
    return Hindrance(words, now + LOOK_AGAIN, refusal.reply)


REFUSED_ONCE = "the server refused the login; it is tried once more after ten minutes."
