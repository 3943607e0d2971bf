"""Reading the arguments of a command (RFC 3501, 9)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from sandbox.imap import utf7

LITERAL_AT_END: Final = re.compile(rb"\{(\d{1,10})(\+?)\}\r\n\Z")

_ATOM: Final = re.compile(rb'[^\x00-\x20\x7f(){%*"\\\]]+')
_ASTRING: Final = re.compile(rb'[^\x00-\x20\x7f(){%*"\\]+')
_LIST_MAILBOX: Final = re.compile(rb'[^\x00-\x20\x7f(){"\\]+')
_FLAG: Final = re.compile(rb'\\?[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_QUOTED: Final = re.compile(rb'"((?:[^"\\\r\n]|\\["\\])*)"')
_LITERAL: Final = re.compile(rb"\{\d+\+?\}\r\n")
_SET: Final = re.compile(rb"(?:\d+|\*)(?::(?:\d+|\*))?(?:,(?:\d+|\*)(?::(?:\d+|\*))?)*")
_NUMBER: Final = re.compile(rb"\d{1,19}")
_MOMENT: Final = re.compile(r"([ \d]\d)-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)")
_DATE: Final = re.compile(r"(\d{1,2})-([A-Za-z]{3})-(\d{4})")

MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

SequenceSet = tuple[tuple[int, int], ...]
LAST: Final = -1  # "*" in a sequence set


class BadSyntax(Exception):
    """The client broke the grammar; answered with BAD and this sentence."""


class Arguments:
    """A cursor over one command. `text` holds the lines, where each {n} stands for the next of `literals`."""

    def __init__(self, text: bytes, literals: list[bytes]) -> None:
        self._text = text
        self._at = 0
        self._literals = iter(literals)

    def match(self, pattern: re.Pattern[bytes], what: str) -> re.Match[bytes]:
        """Step over what fits `pattern`; `what` names it for the person who reads the BAD."""
        match = pattern.match(self._text, self._at)
        if match is None:
            raise BadSyntax(f"Expected {what} at octet {self._at + 1} of the command.")
        self._at = match.end()
        return match

    def _take(self, pattern: re.Pattern[bytes], what: str) -> bytes:
        return self.match(pattern, what)[0]

    def sees(self, token: bytes) -> bool:
        return self._text[self._at : self._at + len(token)].upper() == token

    def skip(self, token: bytes) -> bool:
        """Step over `token` (upper case) if it comes next."""
        if self.sees(token):
            self._at += len(token)
            return True
        return False

    def expect(self, token: bytes) -> None:
        if not self.skip(token):
            raise BadSyntax(f"Expected {token.decode()!r} at octet {self._at + 1} of the command.")

    def space(self) -> None:
        self.expect(b" ")

    def end(self) -> None:
        self.skip(b" ")  # some clients leave one behind
        if not self.at_end():
            raise BadSyntax(f"Did not expect more at octet {self._at + 1} of the command.")

    def rest(self) -> bytes:
        """Everything up to the end of the line."""
        taken, self._at = self._text[self._at : -2], len(self._text) - 2
        return taken

    def at_end(self) -> bool:
        return self.sees(b"\r\n") and self._at + 2 == len(self._text)

    def atom(self) -> str:
        """An atom in upper case: a keyword of the grammar."""
        return self._take(_ATOM, "a word").decode("ascii", "replace").upper()

    def tag(self) -> str:
        return self._take(_ASTRING, "a tag").decode("ascii", "replace")

    def number(self) -> int:
        return int(self._take(_NUMBER, "a number"))

    def string(self) -> bytes:
        """A quoted string or a literal."""
        if self.sees(b"{"):
            self._take(_LITERAL, "a literal")
            return next(self._literals)
        return re.sub(rb"\\(.)", rb"\1", self._take(_QUOTED, "a string")[1:-1])

    def _is_string(self) -> bool:
        return self.sees(b"{") or self.sees(b'"')

    def astring(self) -> bytes:
        return self.string() if self._is_string() else self._take(_ASTRING, "a word or a string")

    def literal(self) -> bytes:
        if not self.sees(b"{"):
            raise BadSyntax("Expected a literal.")
        return self.string()

    def text(self) -> str:
        """An astring as UTF-8 text, such as a user name."""
        return _utf8(self.astring())

    def folder(self) -> str:
        """A folder name, decoded; INBOX in any case is INBOX."""
        return _folder(self.astring())

    def pattern(self) -> str:
        """A folder pattern of LIST, with * and %."""
        return _folder(self.string() if self._is_string() else self._take(_LIST_MAILBOX, "a folder pattern"))

    def atoms(self) -> list[str]:
        """A parenthesised list of atoms, possibly empty."""
        self.expect(b"(")
        found: list[str] = []
        while not self.skip(b")"):
            if found:
                self.space()
            found.append(self.atom())
        return found

    def flags(self) -> frozenset[str]:
        """Flags in parentheses, or bare as STORE allows; \\Recent is the server's alone and is dropped."""
        found: set[str] = set()
        listed = self.skip(b"(")
        while not (listed and self.skip(b")")):
            if found:
                self.space()
            found.add(_flag(self._take(_FLAG, "a flag")))
            if not listed and not self.sees(b" "):
                break
        return frozenset(found - {"\\Recent"})

    def sequence_set(self) -> SequenceSet:
        """Ranges as the client wrote them; "*" is LAST."""
        ranges = []
        for item in self._take(_SET, "a set of message numbers").split(b","):
            first, _, last = item.partition(b":")
            ranges.append((_sequence_number(first), _sequence_number(last or first)))
        return tuple(ranges)

    def sees_sequence_set(self) -> bool:
        return _SET.match(self._text, self._at) is not None

    def date_time(self) -> datetime:
        """The moment of APPEND: "17-Jul-2026 02:44:25 -0700"."""
        match = _MOMENT.fullmatch(_utf8(self.string()))
        if match is None or match[2].title() not in MONTHS:
            raise BadSyntax("Expected a date and time such as 17-Jul-2026 02:44:25 -0700.")
        day, month, year, hour, minute, second, sign, zone_hours, zone_minutes = match.groups()
        offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes)) * (-1 if sign == "-" else 1)
        try:
            zone = timezone(offset)
            return datetime(
                int(year), _month(month), int(day), int(hour), int(minute), min(int(second), 59), tzinfo=zone
            ).astimezone(UTC)
        except (ValueError, OverflowError) as exc:
            raise BadSyntax("There is no such date and time.") from exc

    def date(self) -> int:
        """A day of SEARCH as a proleptic Gregorian ordinal."""
        match = _DATE.fullmatch(_utf8(self.astring()))
        if match is None or match[2].title() not in MONTHS:
            raise BadSyntax("Expected a date such as 17-Jul-2026.")
        try:
            return datetime(int(match[3]), _month(match[2]), int(match[1]), tzinfo=UTC).toordinal()
        except ValueError as exc:
            raise BadSyntax("There is no such date.") from exc


def nstring(value: bytes | None) -> bytes:
    """Write a string or NIL; what a quoted string cannot carry becomes a literal."""
    if value is None:
        return b"NIL"
    if len(value) < 1000 and value.isascii() and not any(octet in value for octet in (b"\r", b"\n", b"\0")):
        return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return b"{%d}\r\n%s" % (len(value), value)


def folder_name(name: str) -> bytes:
    return nstring(utf7.encode(name))


def sequence_text(numbers: list[int]) -> bytes:
    """Write ascending numbers as a set: 1:3,7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}:{last}" for first, last in runs).encode()


def _month(name: str) -> int:
    return MONTHS.index(name.title()) + 1


def _sequence_number(text: bytes) -> int:
    if text == b"*":
        return LAST
    number = int(text[:11])
    if not 1 <= number < 2**32:
        raise BadSyntax("Message numbers are between 1 and 4294967295.")
    return number


def _flag(octets: bytes) -> str:
    flag = octets.decode("ascii")
    return "\\" + flag[1:].capitalize() if flag.startswith("\\") else flag


def _utf8(octets: bytes) -> str:
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise BadSyntax("Expected UTF-8 text.") from exc


def _folder(octets: bytes) -> str:
    try:
        name = utf7.decode(octets)
    except ValueError as exc:
        raise BadSyntax("The folder name is not modified UTF-7.") from exc
    if any(ord(character) < 32 for character in name):
        raise BadSyntax("A folder name cannot hold control characters.")
    first, delimiter, rest = name.partition("/")
    return "INBOX" + delimiter + rest if first.upper() == "INBOX" else name
