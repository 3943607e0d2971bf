"""What ties a message to others: its identifier, and the fields of a reply (RFC 5322, 3.6.2 to 3.6.5)."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from protocols.message.addresses import Address
from protocols.message.domains import ascii_domain
from protocols.message.parse import MessageSummary
from protocols.message.subjects import forward_subject, reply_subject

__all__ = [
    "ReplyRecipients",
    "forward_subject",
    "new_message_id",
    "reply_headers",
    "reply_recipients",
    "reply_subject",
    "shortened_references",
]

_MOST_REFERENCES = 20
_LONGEST_REFERENCES = 4_000  # octets of all identifiers


@dataclass(frozen=True, slots=True)
class ReplyRecipients:
    """Whom a reply is addressed to."""

    to: tuple[Address, ...]
    cc: tuple[Address, ...]


def new_message_id(domain: str) -> str:
    """Return a new Message-ID without angle brackets. It tells nothing but the domain: no host, no time, no person.

    Raises ValueError when `domain` is no domain name.
    """
    return f"{secrets.token_hex(16)}@{ascii_domain(domain)}"


def reply_headers(parent: MessageSummary) -> tuple[str, tuple[str, ...]]:
    """Return (In-Reply-To, References) for a reply to `parent`, identifiers without angle brackets.

    "" and () when the parent has no Message-ID and no references. Long chains keep the first and the newest ones.
    """
    chain = parent.references or (parent.in_reply_to if len(parent.in_reply_to) == 1 else ())
    if parent.message_id:
        chain = (*(identifier for identifier in chain if identifier != parent.message_id), parent.message_id)
    return parent.message_id, shortened_references(chain)


def shortened_references(chain: Iterable[str], most: int = _MOST_REFERENCES) -> tuple[str, ...]:
    """Drop identifiers from the middle: readers thread by the first and by the newest ones.

    Some servers refuse mail with long fields: there are few identifiers, and few octets.
    """
    identifiers = tuple(dict.fromkeys(chain))
    if len(identifiers) > most:
        identifiers = (identifiers[0], *identifiers[1 - most :])
    while len(identifiers) > 2 and sum(map(len, identifiers)) > _LONGEST_REFERENCES:
        identifiers = (identifiers[0], *identifiers[2:])
    return identifiers


def reply_recipients(parent: MessageSummary, own: Collection[str], *, everyone: bool) -> ReplyRecipients:
    """Return whom a reply goes to.

    own:      the addresses of the mailbox; they are left out, except where nobody else would be left.
    everyone: also those in To and Cc of the parent. A reply to one's own message goes to its recipients.
    """
    mine = {address.lower() for address in own}
    is_own = parent.from_ is not None and parent.from_.address.lower() in mine
    senders = parent.reply_to or ((parent.from_,) if parent.from_ is not None else ())
    if is_own and parent.to and not parent.reply_to:
        senders = parent.to
    seen: set[str] = set()
    to = _fresh(senders, mine, seen) or _fresh(senders, set(), seen)
    if not everyone:
        return ReplyRecipients(to, ())
    others = (() if senders is parent.to else parent.to) + parent.cc
    return ReplyRecipients(to, _fresh(others, mine, seen))


def _fresh(addresses: Iterable[Address], left_out: Collection[str], seen: set[str]) -> tuple[Address, ...]:
    fresh: list[Address] = []
    for address in addresses:
        key = address.address.lower()
        if "@" in key and key not in left_out and key not in seen:
            seen.add(key)
            fresh.append(address)
    return tuple(fresh)
