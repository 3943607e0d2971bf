"""Whether a program may answer a message by itself (RFC 3834, 2 and 5): not what programs, lists and bounces write.

    objection = objection_to_answering(beginning, own={"desk@example.org"}, knows_mark=...)

Looks at the header section alone and never raises. When in doubt it objects: an answer less is a pity, an answer to
another program may be the first of thousands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from typing import Final

from protocols.message.addresses import parse_addresses
from protocols.message.autoreplies import FIELDS as AUTO_REPLY_FIELDS
from protocols.message.autoreplies import is_auto_reply
from protocols.message.bounce_texts import is_failure_subject, is_system_sender
from protocols.message.headers import read_head, with_line_feeds
from protocols.message.identifiers import message_ids
from protocols.message.limits import LIMITS
from protocols.message.parameters import parse_content_type
from protocols.message.returned import OWN_FIELD, decoded_fields

MOST_HOPS: Final = 30  # Received fields; honest ways have a dozen, and servers give up at 50 to 100 (RFC 5321, 6.3)

_OWN: Final = OWN_FIELD.lower()
_SENDERS: Final = ("from", "sender", "reply-to", "return-path")
_LISTS: Final = (
    "list-id", "list-post", "list-help", "list-subscribe", "list-unsubscribe", "list-unsubscribe-post", "list-owner",
    "list-archive", "mailing-list", "x-mailing-list",
)  # fmt: skip
_OTHERS: Final = ("content-type", "message-id", "precedence", "received", "x-loop", "x-failed-recipients", _OWN)
_WANTED: Final = frozenset(name.encode() for name in (*AUTO_REPLY_FIELDS, *_SENDERS, *_LISTS, *_OTHERS))
_BULK: Final = frozenset(("bulk", "list", "junk"))
# Behind these nobody reads: programs (RFC 3834, 2), and those who say so themselves.
_PROGRAM: Final = re.compile(
    r"owner-.+|.+-(?:request|owner|bounces?|errors|confirm\w*)|bounces?(?:[+=-].*)?|(?:no|do-?not|never)[-_.]?reply(?:[+_.-].*)?"
    r"|listserv|majordomo|nobody|daemon|autoresponder|auto-?reply",
    re.IGNORECASE,
)


class Objection(StrEnum):
    """Why a message must not be answered by a program."""

    AUTOMATIC = "automatic"  # a program wrote it
    LIST = "list"
    BULK = "bulk"
    BOUNCE = "bounce"  # it says itself that nothing is to come back
    UNWANTED = "unwanted"  # it asks for no automatic answers
    PROGRAM = "program"  # nobody reads what is sent to its address
    OWN = "own"  # we, or somebody of our domain, wrote it
    HOPS = "hops"
    NOBODY = "nobody"  # it has no address to answer to


def objection_to_answering(
    beginning: bytes, *, own: Collection[str], knows_mark: Callable[[str], bool]
) -> Objection | None:
    """Return why the message that begins so must not be answered by a program; None where it may be.

    beginning:  its first octets, with the whole header section.
    own:        the addresses of the mailbox that would answer.
    knows_mark: whether a value of our own field was written by us.
    """
    octets = with_line_feeds(beginning, LIMITS)
    assert isinstance(octets, bytes)
    head = read_head(octets, 0, len(octets), wanted=_WANTED, top=True)
    fields = decoded_fields(head)
    addresses = {name: _addresses(fields.get(name, "")) for name in _SENDERS}
    if _is_automatic(fields):
        return Objection.AUTOMATIC
    if any(name in fields for name in _LISTS):
        return Objection.LIST
    if fields.get("precedence", "").strip().lower() in _BULK:
        return Objection.BULK
    if _is_bounce(fields, parse_content_type(head.first(b"content-type"))[0]):
        return Objection.BOUNCE
    if (asked := fields.get("x-auto-response-suppress", "").strip().lower()) and asked != "none":
        return Objection.UNWANTED
    if len(head.fields.get(b"received", ())) > MOST_HOPS:
        return Objection.HOPS
    if not addresses["from"]:
        return Objection.NOBODY
    if _is_own(fields, addresses, own, knows_mark):
        return Objection.OWN
    if any(_is_program(address) for name in _SENDERS for address in addresses[name]):
        return Objection.PROGRAM
    return None


def senders_of(beginning: bytes) -> frozenset[str]:
    """Return to whom an answer may go, in small letters: From, Sender, Reply-To and Return-Path."""
    octets = with_line_feeds(beginning, LIMITS)
    head = read_head(octets, 0, len(octets), wanted=_WANTED, top=True)
    fields = decoded_fields(head)
    return frozenset(address for name in _SENDERS for address in _addresses(fields.get(name, "")))


def _is_automatic(fields: Mapping[str, str]) -> bool:
    """Auto-Submitted with anything but "no" (RFC 3834, 5), or one of the many fields from before it."""
    if "auto-submitted" in fields:
        return fields["auto-submitted"].partition(";")[0].strip().lower() != "no"
    return is_auto_reply(fields)


def _is_bounce(fields: Mapping[str, str], content_type: str) -> bool:
    """The null reverse-path, or what says the same without it."""
    if fields.get("return-path", "").replace(" ", "") == "<>" or "x-failed-recipients" in fields:
        return True
    return content_type == "multipart/report" or is_failure_subject(fields.get("subject", ""))


def _is_own(
    fields: Mapping[str, str],
    addresses: Mapping[str, Collection[str]],
    own: Collection[str],
    knows_mark: Callable[[str], bool],
) -> bool:
    """Our own mark came back, or the message was written at our own domain."""
    mine = {address.lower() for address in own}
    if knows_mark(fields.get(_OWN, "")) or mine & {address for name in _SENDERS for address in addresses[name]}:
        return True
    if mine & set(_addresses(fields.get("x-loop", ""))):
        return True
    domains = {address.rpartition("@")[2] for address in mine}
    identifier = "".join(message_ids(fields.get("message-id", ""), 1))
    return identifier.rpartition("@")[2].lower() in domains


def _is_program(address: str) -> bool:
    return is_system_sender(address) or _PROGRAM.fullmatch(address.partition("@")[0]) is not None


def _addresses(value: str) -> tuple[str, ...]:
    found = parse_addresses([value.encode("utf-8", "replace")], "", limit=20).addresses if value.strip() else ()
    return tuple(each.address.lower() for each in found if "@" in each.address)
