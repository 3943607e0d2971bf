"""Giving frozen octets a new identity: the same mail once more is another message (RFC 5322, 3.6.4)."""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import format_datetime

from protocols.message.identity import new_message_id

_FIELD = re.compile(rb"^(message-id|date)[ \t]*:.*(?:\r\n[ \t].*)*\r\n", re.IGNORECASE | re.MULTILINE)


def with_new_identity(raw: bytes, address: str, now: datetime) -> tuple[str, bytes]:
    """Return a new Message-ID (without angle brackets) and `raw` under it, dated `now`; the rest stays as it is.

    raw:     a message that we built: CRLF line ends, one Message-ID and one Date field.
    address: whose domain the Message-ID carries.
    """
    header, separator, body = raw.partition(b"\r\n\r\n")
    message_id = new_message_id(address.rpartition("@")[2])
    values = {b"message-id": f"<{message_id}>", b"date": format_datetime(now)}

    def renewed(match: re.Match[bytes]) -> bytes:
        name = match.group(1)
        return name + b": " + values[name.lower()].encode("ascii") + b"\r\n"

    return message_id, _FIELD.sub(renewed, header + b"\r\n") + separator[2:] + body
