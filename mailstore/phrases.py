"""What the full-text index is told and asked, the same on both engines."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from mailstore.words import Texts


class Field(StrEnum):
    """What can be searched by itself."""

    SUBJECT = "subject"
    SENDER = "sender"
    RECIPIENTS = "recipients"


@dataclass(frozen=True, slots=True)
class IndexedMessage:
    """What the index is told of one message.

    in_order: what `words.in_order` made of its texts, where that was done before.
    """

    message_pk: int
    texts: Texts
    in_order: bytes = b""


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words that stand next to each other, in `field` or anywhere; the last one may go on where `is_prefix`."""

    words: tuple[str, ...]
    field: Field | None = None
    is_prefix: bool = False
