"""Giving frozen octets a new identity: the same mail once more is another message (RFC 5322, 3.6.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime

from delivery.tracing import mark_field
from protocols.message.identity import new_message_id
from protocols.message.returned import OWN_FIELD

_NAMES = f"message-id|date|{OWN_FIELD}".encode()
_FIELD = re.compile(rb"^(" + _NAMES + rb")[ \t]*:.*(?:\r\n[ \t].*)*\r\n", re.IGNORECASE | re.MULTILINE)


def with_new_identity(raw: bytes, address: str, now: datetime) -> tuple[str, bytes]:
    """Return a new Message-ID (without angle brackets) and `raw` under it, dated `now`; the rest stays as it is.

    raw:     a message that we built: CRLF line ends, one Message-ID and one Date field, and our mark.
    address: whose domain the Message-ID carries.
    """
    message_id = new_message_id(address.rpartition("@")[2])
    mark, marked = mark_field(message_id)
    values = {b"message-id": f"<{message_id}>", b"date": format_datetime(now), mark.lower().encode(): marked}
    return message_id, _with(raw, values)


def redated(raw: bytes, moment: datetime) -> bytes:
    """Return `raw` dated `moment`, otherwise as it is. Only for what has not left yet: nobody knows it by its date."""
    return _with(raw, {b"date": format_datetime(moment)})


def _with(raw: bytes, values: Mapping[bytes, str]) -> bytes:
    """`raw` with other values in the fields of these names, which are in small letters."""
    header, separator, body = raw.partition(b"\r\n\r\n")

    def renewed(match: re.Match[bytes]) -> bytes:
        name = match.group(1)
        value = values.get(name.lower())
        return match.group(0) if value is None else name + b": " + value.encode("ascii") + b"\r\n"

    return _FIELD.sub(renewed, header + b"\r\n") + separator[2:] + body
