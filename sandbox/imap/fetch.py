"""What FETCH asks for and what it answers (RFC 3501, 6.4.5 and 7.4.2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sandbox import mime
from sandbox.imap.grammar import MONTHS, Arguments, BadSyntax, nstring
from sandbox.imap.structure import body_structure, envelope
from sandbox.store import Row

_MACROS: Final = {
    "FAST": ("FLAGS", "INTERNALDATE", "RFC822.SIZE"),
    "ALL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"),
    "FULL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"),
}
_PLAIN: Final = {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "UID", "ENVELOPE", "BODYSTRUCTURE", "BODY"}
_OLD_NAMES: Final = {"RFC822": "", "RFC822.HEADER": "HEADER", "RFC822.TEXT": "TEXT"}
_NAME: Final = re.compile(rb"[A-Za-z0-9.]+")
_SECTION: Final = re.compile(rb"((?:\d{1,9}(?:\.\d{1,9})*)?)\.?([A-Za-z.]*)")
_PARTIAL: Final = re.compile(rb"<(\d{1,10})\.(\d{1,10})>")
_TEXT_KINDS: Final = {"", "HEADER", "HEADER.FIELDS", "HEADER.FIELDS.NOT", "TEXT", "MIME"}


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to fetch.

    name:  as it is written in the answer, with the section but without the partial's length.
    path:  part numbers; kind: "", HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT or MIME.
    partial: first octet and length; is_section: BODY[...] and its old names.
    """

    name: bytes
    is_section: bool = False
    marks_seen: bool = False
    path: tuple[int, ...] = ()
    kind: str = ""
    fields: tuple[bytes, ...] = ()
    partial: tuple[int, int] | None = None


def read_items(arguments: Arguments) -> list[Item]:
    """Parse the last argument of FETCH. Raises BadSyntax."""
    if not arguments.skip(b"("):
        name = _name(arguments)
        if name in _MACROS:
            return [Item(word.encode()) for word in _MACROS[name]]
        return [_item(arguments, name)]
    items: list[Item] = []
    while not arguments.skip(b")"):
        if items:
            arguments.space()
        items.append(_item(arguments, _name(arguments)))
    return items


def _name(arguments: Arguments) -> str:
    return arguments.match(_NAME, "something to fetch")[0].decode("ascii").upper()


def _item(arguments: Arguments, name: str) -> Item:
    if name in _OLD_NAMES:
        kind = _OLD_NAMES[name]
        return Item(name.encode(), is_section=True, kind=kind, marks_seen=kind != "HEADER")
    if name in {"BODY", "BODY.PEEK"} and arguments.skip(b"["):
        return _section(arguments, marks_seen=name == "BODY")
    if name not in _PLAIN:
        raise BadSyntax(f"FETCH does not know {name}.")
    return Item(name.encode())


def _section(arguments: Arguments, *, marks_seen: bool) -> Item:
    match = arguments.match(_SECTION, "a section")
    path = tuple(int(number) for number in match[1].split(b".")) if match[1] else ()
    kind = match[2].decode("ascii").upper()
    if kind not in _TEXT_KINDS or (kind == "MIME" and not path):
        raise BadSyntax(f"There is no section {match[0].decode('ascii')!r}.")
    fields: list[bytes] = []
    label = match[0].upper()
    if kind.startswith("HEADER.FIELDS"):
        arguments.space()
        arguments.expect(b"(")
        while not arguments.skip(b")"):
            if fields:
                arguments.space()
            fields.append(arguments.astring())
        label += b" (%s)" % b" ".join(field if _NAME_OF_FIELD.fullmatch(field) else nstring(field) for field in fields)
    arguments.expect(b"]")
    label = b"BODY[%s]" % label
    partial = None
    if arguments.sees(b"<"):
        numbers = arguments.match(_PARTIAL, "a partial such as <0.1024>")
        partial = (int(numbers[1]), int(numbers[2]))
        label += b"<%d>" % partial[0]
    lowered = tuple(field.lower() for field in fields)
    return Item(label, True, marks_seen, path, kind, lowered, partial)


_NAME_OF_FIELD: Final = re.compile(rb"[!#$&'+\-./0-9:;<=>?@A-Z\[^_`a-z|}~]+")


class Message:
    """A message being answered: its row and, read once and only when asked for, its octets and parts."""

    def __init__(self, row: Row, load: Callable[[], bytes]) -> None:
        self.row = row
        self._load = load
        self._raw: bytes | None = None
        self._root: mime.Part | None = None

    @property
    def raw(self) -> bytes:
        if self._raw is None:
            self._raw = self._load()
        return self._raw

    @property
    def root(self) -> mime.Part:
        if self._root is None:
            self._root = mime.parse(self.raw)
        return self._root


def answer(item: Item, message: Message, *, is_recent: bool) -> bytes:
    """Return `name value` for one item."""
    row = message.row
    if item.is_section:
        return item.name + b" " + _section_value(item, message)
    values: dict[bytes, Callable[[], bytes]] = {
        b"UID": lambda: b"%d" % row.uid,
        b"FLAGS": lambda: flag_list(row.flags, is_recent=is_recent),
        b"INTERNALDATE": lambda: b'"%s"' % internal_date(row.internal_at),
        b"RFC822.SIZE": lambda: b"%d" % row.size,
        b"ENVELOPE": lambda: envelope(message.root),
        b"BODY": lambda: body_structure(message.root, extended=False),
        b"BODYSTRUCTURE": lambda: body_structure(message.root, extended=True),
    }
    return item.name + b" " + values[item.name]()


def flag_list(flags: Iterable[str], *, is_recent: bool = False) -> bytes:
    words = sorted(flags) + (["\\Recent"] if is_recent else [])
    return b"(%s)" % " ".join(words).encode("ascii")


def internal_date(moment: int) -> bytes:
    """Write Unix time as "17-Jul-2026 02:44:25 +0000"."""
    at = datetime.fromtimestamp(moment, UTC)
    return f"{at.day:2}-{MONTHS[at.month - 1]}-{at.year:04} {at:%H:%M:%S} +0000".encode("ascii")


def _section_value(item: Item, message: Message) -> bytes:
    octets = _octets(item, message)
    if octets is None:
        return b"NIL"
    if item.partial:
        first, length = item.partial
        octets = octets[first : first + length]
    return b"{%d}\r\n%s" % (len(octets), octets)


def _octets(item: Item, message: Message) -> bytes | None:
    if not item.path and item.kind == "":
        return message.raw
    part: mime.Part | None = message.root
    for number in item.path:
        part = part.numbered(number) if part else None
    if part is None:
        return None
    if item.kind == "MIME":
        return part.header
    if item.path and item.kind == "":
        return part.body
    whole = part.message if item.path else part  # HEADER and TEXT below a number are those of an enclosed message
    if whole is None:
        return None
    if item.kind == "TEXT":
        return whole.body
    if item.kind == "HEADER":
        return whole.header
    return _chosen_fields(whole.header, item.fields, excluding=item.kind.endswith("NOT"))


_FIELD_LINES: Final = re.compile(rb"^([^\s:]+)[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*\n?", re.MULTILINE)


def _chosen_fields(header: bytes, names: tuple[bytes, ...], *, excluding: bool) -> bytes:
    lines = [match[0] for match in _FIELD_LINES.finditer(header) if (match[1].lower() in names) != excluding]
    return b"".join(lines) + b"\r\n"
