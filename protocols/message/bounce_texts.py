"""Delivery reports in free text: who did not get the message, and the words that stand beside the address.

Before RFC 3464, and beside it, every mail system wrote these in its own way, and most still do. They have one thing in
common: each recipient stands on a line of a few shapes, and what the server said stands on that line and the next.
The shapes and phrases are data, in `bounce_texts.toml`. Line by line, so linear in the text.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from protocols.message.bounce_reasons import any_of, has_evidence

MOST_RECIPIENTS: Final = 1_000
_MOST_LINES: Final = 4_000
_LONGEST_LINE: Final = 1_000  # characters that are looked at
_LINES_EACH: Final = 30  # about one recipient
_OPENING: Final = 4_000  # characters

# An address as reports write it; quoted local parts may hold anything else.
_ADDRESS: Final = (
    r"""((?:[^\s<>()\[\]:;,"'@]{1,128}|"[^"\r\n]{1,128}")@(?:[\w](?:[\w.-]{0,250}\w)?|\[[0-9A-Fa-f.:]{3,60}\]))"""
)


class _Words(NamedTuple):
    senders: re.Pattern[str]
    subjects: re.Pattern[str]
    openings: re.Pattern[str]
    delays: re.Pattern[str]
    finals: re.Pattern[str]
    originals: re.Pattern[str]
    ends: re.Pattern[str]
    alone: tuple[re.Pattern[str], ...]
    with_reason: tuple[re.Pattern[str], ...]
    sentences: tuple[re.Pattern[str], ...]
    aliases: tuple[re.Pattern[str], ...]


def _read() -> _Words:
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))

    def shapes(name: str) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(each.replace("{address}", _ADDRESS), re.IGNORECASE) for each in table[name])

    return _Words(
        senders=any_of(table["senders"]),
        subjects=any_of(table["subjects"]),
        openings=any_of(table["openings"]),
        delays=any_of(table["delays"]),
        finals=any_of(table["finals"]),
        originals=any_of(table["originals"]),
        ends=any_of(table["ends"]),
        alone=shapes("alone"),
        with_reason=shapes("with_reason"),
        sentences=shapes("sentences"),
        aliases=shapes("aliases"),
    )


_WORDS: Final = _read()


@dataclass(slots=True)
class TextEntry:
    """What a text says of one recipient.

    alias: the address that was written to, where the text tells that `address` came out of it.
    sure:  the address stands alone on its line; otherwise it counts only with a code or a known phrase beside it.
    """

    address: str
    lines: list[str] = field(default_factory=list)
    alias: str = ""
    sure: bool = True

    @property
    def diagnostic(self) -> str:
        return " ".join(self.lines)


class Notice(NamedTuple):
    """A report's text, cut where the original begins."""

    lines: list[str]
    rest: str


def is_system_sender(address: str) -> bool:
    """Tell whether mail from this address may be written by a mail system."""
    return _WORDS.senders.fullmatch(address.partition("@")[0]) is not None


def is_failure_subject(subject: str) -> bool:
    """Tell whether a subject says that mail was not delivered, or late."""
    return _WORDS.subjects.search(subject[:_LONGEST_LINE]) is not None


def is_failure_text(notice: Notice) -> bool:
    """Tell whether a text begins by saying that mail was not delivered."""
    return _WORDS.openings.search(" ".join(notice.lines)[:_OPENING]) is not None


def tells_of_delay(text: str) -> bool:
    """Tell whether a report says that the message is still being tried."""
    text = text[:_OPENING]
    return _WORDS.delays.search(text) is not None and _WORDS.finals.search(text) is None


def split_notice(text: str) -> Notice:
    """Cut a text where the original, or its header section, begins."""
    position = 0
    lines: list[str] = []
    for line in _lines(text):
        stripped = line.strip()
        if stripped and lines and _WORDS.originals.match(stripped[:_LONGEST_LINE]):
            break
        position += len(line) + 1
        lines.append(stripped[:_LONGEST_LINE])
    return Notice(lines, text[position:])


def _lines(text: str) -> Iterator[str]:
    position = 0
    for _ in range(_MOST_LINES):
        if position > len(text):
            return
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        yield text[position:end]
        position = end + 1


def entries_of(notice: Notice) -> list[TextEntry]:
    """Return what a notice says of each recipient, in order, each once; what is said twice counts once."""
    found: dict[str, TextEntry] = {}
    for entry in _scan(notice.lines):
        if len(found) >= MOST_RECIPIENTS:
            break
        if not entry.sure and not has_evidence(entry.diagnostic):
            continue
        key = entry.address.lower()
        known = found.get(key)
        if known is None:
            found[key] = entry
        elif not known.lines:
            known.lines = entry.lines
        elif len(known.lines) < _LINES_EACH and not has_evidence(known.diagnostic):
            known.lines += entry.lines
    return list(found.values())


def _scan(lines: list[str]) -> Iterator[TextEntry]:
    """Yield an entry for each line that names a recipient, with the paragraphs behind it up to the first that tells."""
    entry: TextEntry | None = None
    is_open = False  # the next line belongs to the entry
    paragraph = 0  # where the current one begins in the lines of the entry
    for line in lines:
        begun = _begin(line) if "@" in line else None
        if begun is not None and is_open and entry is not None and begun.address == entry.address:
            begun = None  # the server repeats whom it speaks of
        if begun is not None:
            if entry is not None:
                yield entry
            entry, is_open, paragraph = begun, True, 0
        elif entry is None or not is_open:
            continue
        elif not line:
            is_open = not has_evidence(" ".join(entry.lines[paragraph:]))
            paragraph = len(entry.lines)
        elif _WORDS.ends.match(line):
            is_open = False
        else:
            _go_on(entry, line)
            is_open = len(entry.lines) < _LINES_EACH
    if entry is not None:
        yield entry


def _begin(line: str) -> TextEntry | None:
    for shape in _WORDS.alone:
        if found := shape.match(line):
            return TextEntry(found[1])
    for shape in _WORDS.sentences:
        if found := shape.match(line):
            return TextEntry(found[1], [line])
    for shape in _WORDS.with_reason:
        if found := shape.match(line):
            return TextEntry(found[1], [line], sure=False)
    return None


def _go_on(entry: TextEntry, line: str) -> None:
    for shape in _WORDS.aliases:
        if found := shape.match(line):
            entry.alias = found[1]
            return
    entry.lines.append(line)
