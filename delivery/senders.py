"""From, Reply-To and envelope sender of a mail, and which step of the rules decided (spec B7, E8; threat T19)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from django.db import models

from accounts.models import Mailbox
from mailservers.models import MailServer
from protocols.message.addresses import Address


class SenderStep(models.TextChoices):
    """What From was taken from."""

    CHOSEN = "chosen", "Chosen by a person"
    MAILBOX = "mailbox", "The email account"
    REPLY_TO = "reply_to", "The reply address that was given"
    DEFAULT_REPLY = "default_reply", "The default reply address of the mail server"
    LOGIN = "login", "The login of the mail server"


@dataclass(frozen=True, slots=True)
class SenderChoice:
    """What whoever queues a mail says about its sender.

    address:  one of the mailbox's identities; "" for the usual one.
    reply_to: where answers shall go; None leaves it to From.
    """

    address: str = ""
    reply_to: Address | None = None


AS_USUAL: Final = SenderChoice()


@dataclass(frozen=True, slots=True)
class ReplyPolicy:
    """What an administrator set for the server that sends (spec B7). login: the address it signs in as, "" for none."""

    is_on: bool = False
    default_reply_address: str = ""
    login: str = ""

    @classmethod
    def of(cls, server: MailServer | None) -> ReplyPolicy:
        """Of a mailbox's own login there is none: From is the mailbox."""
        if server is None:
            return cls()
        return cls(server.sends_from_reply_to, server.default_reply_address, server.sender_address())


@dataclass(frozen=True, slots=True)
class Sender:
    """The decision. envelope: MAIL FROM, where delivery reports go; always the mailbox, which reads them."""

    from_: Address
    reply_to: tuple[Address, ...]
    envelope: str
    step: SenderStep


class NotAnIdentity(ValueError):
    """The mailbox may not write under this address. The text is a sentence."""


def decide(
    choice: SenderChoice, *, by_policy: bool, name: str, identities: Collection[str], policy: ReplyPolicy
) -> Sender:
    """Say who a mail comes from.

    by_policy:  nobody looked at From, as with automation and the API: the policy of the mail server decides.
    name:       the mailbox's display name.
    identities: addresses that may stand in From of its mail, the usual one first.
    Raises NotAnIdentity when another one was asked for.
    """
    usual = next(iter(identities))
    if choice.address and _same(choice.address, identities) is None:
        raise NotAnIdentity(
            f"“{choice.address}” is not an address of this email account. Use {' or '.join(identities)}."
        )
    mine = _same(choice.address, identities) or usual
    if not by_policy or choice.address or not policy.is_on:
        step = SenderStep.MAILBOX if by_policy else SenderStep.CHOSEN
        return Sender(Address(name, mine), _apart(choice.reply_to, mine), mine, step)
    given = choice.reply_to
    if given is not None:
        return Sender(Address(given.name[:150] or name, given.address), (), mine, SenderStep.REPLY_TO)
    if policy.default_reply_address:
        return Sender(Address(name, policy.default_reply_address), (), mine, SenderStep.DEFAULT_REPLY)
    if policy.login:
        return Sender(Address(name, policy.login), (), mine, SenderStep.LOGIN)
    return Sender(Address(name, mine), (), mine, SenderStep.MAILBOX)


def is_still_allowed(from_address: str, step: str, *, identities: Collection[str], policy: ReplyPolicy) -> bool:
    """Whether a queued mail may still go out under its From, as mailbox and server are set now (threat T19)."""
    if _same(from_address, identities) is not None:
        return True
    if not policy.is_on:
        return False
    allowed: dict[str, Collection[str]] = {
        SenderStep.REPLY_TO: (from_address,),
        SenderStep.DEFAULT_REPLY: (policy.default_reply_address,),
        SenderStep.LOGIN: (policy.login,),
    }
    return _same(from_address, allowed.get(step, ())) is not None


_BECAUSE: Final = {
    SenderStep.MAILBOX: "From is the address of the email account it was sent from.",
    SenderStep.REPLY_TO: "Its mail server sends from the reply address, and the program that sent it gave this one.",
    SenderStep.DEFAULT_REPLY: "Its mail server sends from the reply address; none was given: the default one counts.",
    SenderStep.LOGIN: "Its mail server sends from the reply address; none was given or set: its login counts.",
}


def why_this_sender(step: str) -> str:
    """Which step of the rules decided about From, as a sentence for the log; "" where a person chose it."""
    return _BECAUSE[SenderStep(step)] if step and step != SenderStep.CHOSEN else ""


def decide_for(mailbox: Mailbox, choice: SenderChoice, *, by_policy: bool) -> Sender:
    """As `decide`, for a mailbox with its `mail_server` loaded."""
    policy = ReplyPolicy.of(mailbox.mail_server)
    return decide(choice, by_policy=by_policy, name=mailbox.display_name, identities=mailbox.identities, policy=policy)


def _same(address: str, addresses: Collection[str]) -> str | None:
    """The one of `addresses` that is meant; letters may be of either case."""
    return next((one for one in addresses if one and one.casefold() == address.casefold()), None)


def _apart(reply_to: Address | None, from_address: str) -> tuple[Address, ...]:
    """Reply-To, unless answers go there anyway."""
    if reply_to is None or reply_to.address.casefold() == from_address.casefold():
        return ()
    return (reply_to,)
