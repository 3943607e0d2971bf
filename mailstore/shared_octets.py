"""New messages whose octets the mailbox holds already: moved or copied there by another program.

Their rows name the place where the octets lie; nothing is stored twice. Recognised by Message-ID and size, and believed
only once every octet was compared. Octets are never changed nor removed one by one, so a place may have many names.
Why not more is shared: docs/decisions/0010-identical-messages-share-their-octets.md.
"""

from __future__ import annotations

from mailstore.models import Message
from mailstore.packs import Location, RawUnavailable, read_raw
from mailstore.texts import storable
from protocols.message.parse import parse_summary

MOST_COMPARED = 3  # stored messages with that Message-ID and size


def place_of(mailbox_pk: int, raw: bytes) -> Location | None:
    """Return where exactly these octets lie already; None where they do not, or have no Message-ID."""
    end = raw.find(b"\r\n\r\n")
    message_id = storable(parse_summary(raw[: end + 4]).message_id, 998) if end > 0 else ""
    if not message_id:
        return None
    same = Message.objects.filter(mailbox_id=mailbox_pk, message_id=message_id, stored_size=len(raw))
    fields = ("mailbox", "pack", "offset", "stored_size", "sha256")
    for message in same.only(*fields).order_by("-pk")[:MOST_COMPARED]:
        try:
            if read_raw(message) == raw:
                return Location(message.pack, message.offset, message.stored_size, is_shared=True)
        except RawUnavailable:
            continue  # what came just now is the better copy
    return None
