"""What the store keeps of a message, whoever read it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from protocols.message.addresses import Address
from protocols.message.bodies import BodyParts, decoded_size, part_text
from protocols.message.octets import Octets
from protocols.message.plaintext import html_to_text
from protocols.message.structure import Part

LONGEST_SUBJECT = 4_000
_LONGEST_FILENAME = 1_000
_BULK = frozenset(("bulk", "junk", "auto_reply"))


@dataclass(frozen=True, slots=True)
class PartInfo:
    """A body part that is listed as an attachment.

    path:         section number as in IMAP (RFC 9051, 6.4.5), e.g. "2.1".
    filename:     decoded, as the sender wrote it: pass it through `content.safe_filename` before any use; "" for none.
    disposition:  "attachment", "inline", another lower-case word, or "".
    cid:          Content-ID without angle brackets, "" for none.
    size:         decoded octets; exact where the encoding is well formed.
    size_encoded: octets as transferred.
    """

    path: str
    content_type: str
    filename: str
    disposition: str
    cid: str
    size: int
    size_encoded: int


@dataclass(frozen=True, slots=True)
class MessageSummary:
    """What is stored and searched of one message.

    message_id, in_reply_to, references: identifiers without angle brackets; "" or () where there are none.
    subject:        decoded, unfolded, without control characters.
    from_:          the first address of From; None without one. Several are noted in `defects`.
    date:           the Date field as aware UTC; None when it is missing or unreadable.
    text:           best plain text for search, "\\n" line ends, at most `Limits.text_indexed` characters.
    preview:        about 200 characters of what the author wrote, on one line.
    defects:        codes of what was wrong, such as "several_from_fields" or "too_many_parts"; each once.
    auto_submitted: the keyword of Auto-Submitted (RFC 3834), lower case, such as "auto-replied"; "" when absent.
    is_bulk:        it says itself that it was sent to many: by Precedence, or by a way to unsubscribe and none to post.
    """

    message_id: str
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    subject: str
    from_: Address | None
    reply_to: tuple[Address, ...]
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    date: datetime | None
    attachments: tuple[PartInfo, ...]
    text: str
    preview: str
    defects: tuple[str, ...]
    auto_submitted: str
    is_bulk: bool = False


def is_bulk(precedence: str, *, unsubscribes: bool, posts: bool) -> bool:
    """Tell bulk mail by what it says of itself; mail through a discussion list (RFC 2369, 3.4) is from people.

    precedence: the field of that name, "" when absent; unsubscribes, posts: List-Unsubscribe and List-Post are there.
    """
    return precedence.strip().lower() in _BULK or (unsubscribes and not posts)


def searchable_text(raw: Octets, bodies: BodyParts, most: int) -> str:
    """Return at most `most` characters of the text: of the parts that are plain, else of the HTML."""
    room = most
    pieces: list[str] = []
    for part in bodies.text:
        if part.content_type == "text/html":
            piece = html_to_text(part_text(raw, part, 4 * room))
        elif part.content_type.startswith(("text/", "multipart/")):
            piece = part_text(raw, part, 4 * room).strip()
        else:
            continue
        if piece:
            pieces.append(piece[:room])
            room -= len(piece)
            if room <= 0:
                break
    text = "\n\n".join(pieces)
    if not text:
        html = [part for part in bodies.html if part.content_type == "text/html"]
        text = next(filter(None, (html_to_text(part_text(raw, part, 4 * room)) for part in html)), "")
    return text[:most]


def part_info(raw: Octets, part: Part) -> PartInfo:
    """Describe a part that is listed as an attachment."""
    return PartInfo(
        path=part.path,
        content_type=part.content_type,
        filename=part.filename[:_LONGEST_FILENAME],
        disposition=part.disposition,
        cid=part.cid,
        size=decoded_size(raw, part),
        size_encoded=part.body_end - part.body_start,
    )
