"""One message as the store understands it, for people who want to see why it is listed as it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from protocols.message.addresses import Address
from protocols.message.content import ContentPart, iter_pieces, open_message
from protocols.message.octets import Octets
from protocols.message.parse import parse_summary

Inspection = dict[str, object]


def inspect_message(raw: Octets) -> Inspection:
    """Return what `parse_summary` and `open_message` make of a message, ready for JSON. Never raises.

    from, to, cc, reply_to:              lists of {"name", "address"}.
    date:                                ISO 8601 in UTC, or None.
    message_id, in_reply_to, references: identifiers without angle brackets; the first is None where there is none.
    text, html:                          bodies as a reader gets them, None without one; html is not sanitised.
    parts:                               every part with content: path (RFC 9051, 6.4.5), type, filename, disposition,
                                         cid, and the size and SHA-256 of its decoded octets.
    defects:                             codes of what was wrong with it.
    """
    summary = parse_summary(raw)
    content = open_message(raw)
    return {
        "subject": summary.subject,
        "from": _people([summary.from_] if summary.from_ else []),
        "to": _people(summary.to),
        "cc": _people(summary.cc),
        "reply_to": _people(summary.reply_to),
        "date": summary.date.isoformat() if summary.date else None,
        "message_id": summary.message_id or None,
        "in_reply_to": list(summary.in_reply_to),
        "references": list(summary.references),
        "text": content.text,
        "html": content.html,
        "parts": _parts(raw),
        "defects": list(dict.fromkeys((*summary.defects, *content.defects))),
    }


def _people(addresses: Iterable[Address]) -> list[dict[str, str]]:
    return [{"name": each.name, "address": each.address} for each in addresses]


def _parts(raw: Octets) -> list[dict[str, object]]:
    try:
        return [_part(part, pieces) for part, pieces in iter_pieces(raw)]
    except Exception:  # as in `open_message`, which names the defect
        return []


def _part(part: ContentPart, pieces: Iterable[bytes]) -> dict[str, object]:
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
    return {
        "path": part.path,
        "type": part.content_type,
        "filename": part.filename,
        "disposition": part.disposition,
        "cid": part.cid,
        "size": size,
        "sha256": digest.hexdigest(),
    }
