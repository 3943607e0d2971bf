"""Messages out of an mbox file, one after the other (RFC 4155), in memory bounded by the largest message kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, Final

LARGEST: Final = 64 * 1024 * 1024  # octets kept of one message; what follows is passed over
_LINE: Final = 64 * 1024  # octets read at once, however long a line is
_LONGEST_SEPARATOR: Final = 500

_DAYS = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),?"
_MONTHS = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_SEPARATOR = re.compile(
    rb"From .*%b\s+%b\s+\d{1,2}\s+\d{1,2}:\d\d(?::\d\d)?(?:\s+\S+)?\s+\d{4}(?:\s+\S+){0,3}\s*" % (_DAYS, _MONTHS)
)
_WITHOUT_DATE = re.compile(rb"From (?:\S+@\S+|MAILER-DAEMON|-)\s*")
_QUOTED = re.compile(rb">+From ")


class NotAnMbox(ValueError):
    """The file does not begin with the line that every message of an mbox begins with."""


def split_mbox(file: BinaryIO, *, largest: int = LARGEST) -> Iterator[bytes]:
    """Yield the messages of `file` without separators, ">From " read as "From ". Raises NotAnMbox, OSError.

    A separator is a whole one, with a sender and a date; after an empty line the sender alone will do. So a sentence
    that begins with "From " separates nothing. Of a message beyond `largest` octets its beginning is given.
    """
    message = bytearray()
    is_within = after_empty = at_start_of_line = False
    while line := file.readline(_LINE):
        if not is_within:
            if line.startswith(b"From "):
                is_within = at_start_of_line = True
            elif line.strip():
                raise NotAnMbox("It does not begin with a line like “From alice@example.org Thu Jan  1 00:00:00 1970”.")
            continue
        if at_start_of_line and _separates(line, after_empty=after_empty):
            yield _without_last_line_end(message)
            message.clear()
            after_empty = False
            continue
        if at_start_of_line and _QUOTED.match(line):
            line = line[1:]
        message += line[: largest - len(message)]
        after_empty = at_start_of_line and not line.strip(b"\r\n")
        at_start_of_line = line.endswith(b"\n")
    if is_within:
        yield _without_last_line_end(message)


def _separates(line: bytes, *, after_empty: bool) -> bool:
    if not line.startswith(b"From ") or len(line) > _LONGEST_SEPARATOR:
        return False
    return bool(_SEPARATOR.fullmatch(line) or (after_empty and _WITHOUT_DATE.fullmatch(line)))


def _without_last_line_end(message: bytearray) -> bytes:
    """The empty line before a separator belongs to the format, not to the message."""
    for end in (b"\r\n\r\n", b"\n\n"):
        if message.endswith(end):
            return bytes(message[: -len(end) // 2])
    return bytes(message)
