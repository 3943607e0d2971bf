"""Folder names and what folders are for (RFC 9051, 5.1; RFC 3501, 5.1.3; RFC 6154)."""

from __future__ import annotations

import binascii
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from imapclient import imap_utf7

from protocols.errors import ProtocolViolation, UnsafeArgument
from protocols.imap import wellknown
from protocols.imap.plan import FolderState
from protocols.imap.responses import Untagged, Value, tokens
from protocols.wire import readable


class SpecialUse(StrEnum):
    """What a folder is for (RFC 6154, 2; Important: RFC 8457)."""

    ALL = "all"
    ARCHIVE = "archive"
    DRAFTS = "drafts"
    FLAGGED = "flagged"
    IMPORTANT = "important"
    JUNK = "junk"
    SENT = "sent"
    TRASH = "trash"


@dataclass(frozen=True, slots=True)
class FolderEntry:
    """One line of LIST.

    name:        for people, decoded from modified UTF-7.
    raw_name:    the server's octets: what commands take.
    delimiter:   between the levels of `name`; None when the server has no levels.
    flags:       lower-case, with backslash.
    special_use: from the server, else guessed by name; None for ordinary folders and INBOX.
    state:       where the server told it along with the list (LIST-STATUS, RFC 5819); None otherwise.
    """

    name: str
    raw_name: bytes
    delimiter: str | None
    flags: frozenset[str]
    special_use: SpecialUse | None = None
    state: FolderState | None = None

    @property
    def selectable(self) -> bool:
        return not self.flags & {r"\noselect", r"\nonexistent"}

    @property
    def leaf(self) -> str:
        """The last level of the name."""
        return self.name.rsplit(self.delimiter, 1)[-1] if self.delimiter else self.name


def decode_name(raw_name: bytes) -> str:
    """Decode modified UTF-7; a name that is none is shown as UTF-8 or as it is, never refused."""
    if not raw_name.isascii():
        return raw_name.decode("utf-8", "replace")
    try:
        return str(imap_utf7.decode(raw_name))
    except (ValueError, binascii.Error):
        return raw_name.decode("ascii")


def encode_name(name: str) -> bytes:
    """Encode for a command. Raises UnsafeArgument for NUL and line breaks, ValueError never."""
    if any(character in name for character in "\r\n\0"):
        raise UnsafeArgument("A folder name cannot contain a line break or a NUL character; choose another name.")
    return bytes(imap_utf7.encode(name.encode("utf-8", "replace").decode()))


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Where folders lie (RFC 2342): name prefixes and delimiters, in the order the server gives them.

    personal: of this user; the first is where new folders go.
    foreign:  other users' folders and shared ones.
    """

    personal: tuple[tuple[str, str | None], ...] = ()
    foreign: tuple[tuple[str, str | None], ...] = ()

    def is_foreign(self, entry: FolderEntry) -> bool:
        """Tell whether a folder belongs to others: the longest prefix that fits decides."""
        own = max((len(prefix) for prefix, _ in self.personal if entry.name.startswith(prefix)), default=-1)
        others = max((len(prefix) for prefix, _ in self.foreign if entry.name.startswith(prefix)), default=-1)
        return others > own


def read_namespaces(response: Untagged) -> Namespaces:
    """Read the answer to NAMESPACE: three lists, or NIL. Raises ProtocolViolation when it is none."""
    values = tokens(response.parts)
    if len(values) < 3:
        raise ProtocolViolation("The server's answer on namespaces cannot be read.", reply=response.text[:200])
    personal, others, shared = (tuple(_prefixes(value)) for value in values[:3])
    return Namespaces(personal, others + shared)


def _prefixes(value: Value) -> Iterator[tuple[str, str | None]]:
    for item in value if isinstance(value, list) else ():
        match item:
            case [bytes() as prefix, (bytes() | None) as delimiter, *_]:
                yield decode_name(prefix), readable(delimiter) or None if delimiter else None


_WELL_KNOWN = {
    SpecialUse.SENT: wellknown.SENT,
    SpecialUse.DRAFTS: wellknown.DRAFTS,
    SpecialUse.TRASH: wellknown.TRASH,
    SpecialUse.JUNK: wellknown.JUNK,
    SpecialUse.ARCHIVE: wellknown.ARCHIVE,
}
_BY_FLAG = {f"\\{use}": use for use in SpecialUse} | {r"\spam": SpecialUse.JUNK, r"\allmail": SpecialUse.ALL}


def read_entry(response: Untagged) -> FolderEntry:
    """Read one LIST response. Raises ProtocolViolation when it is none."""
    values = tokens(response.parts)
    match values[:3]:
        case [list() as flags, (bytes() | None) as delimiter, (bytes() | None) as raw_name]:
            raw_name = b"NIL" if raw_name is None else raw_name
        case _:
            raise ProtocolViolation("The server's list of folders cannot be read.", reply=response.text[:200])
    raw_name = b"INBOX" if raw_name.upper() == b"INBOX" else raw_name
    marks = frozenset(_flag(flag) for flag in flags)
    special_use = next((use for mark, use in _BY_FLAG.items() if mark in marks), None)
    separator = readable(delimiter) or None if delimiter else None
    return FolderEntry(decode_name(raw_name), raw_name, separator, marks, special_use)


def with_guesses(entries: Iterable[FolderEntry]) -> list[FolderEntry]:
    """Guess, by name, the folders for uses that the server named no folder for: the shallowest one wins."""
    listed = list(entries)
    taken = {entry.special_use for entry in listed}
    guessed: dict[bytes, SpecialUse] = {}
    candidates = [entry for entry in listed if entry.special_use is None and entry.selectable]
    for entry in sorted(candidates, key=lambda entry: (len(entry.name) - len(entry.leaf), entry.name)):
        name = entry.leaf.casefold().strip()
        use = next((use for use, names in _WELL_KNOWN.items() if name in names), None)
        if use is not None and use not in taken and entry.raw_name != b"INBOX":
            taken.add(use)
            guessed[entry.raw_name] = use
    return [replace(entry, special_use=guessed.get(entry.raw_name, entry.special_use)) for entry in listed]


def _flag(value: Value) -> str:
    return readable(value).lower() if isinstance(value, bytes) else ""
