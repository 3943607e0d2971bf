"""SEARCH: parse the keys once into a test, then ask it about each message (RFC 3501, 6.4.4; RFC 4731)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import decode_header, make_header
from email.message import Message as EmailMessage
from email.parser import BytesParser
from email.utils import parsedate_to_datetime
from typing import Final

from sandbox.imap.fetch import Message
from sandbox.imap.grammar import Arguments, BadSyntax, SequenceSet
from sandbox.mime import Part

MAX_NESTING: Final = 50


class UnknownCharset(Exception):
    """The client writes its search text in a charset we do not read; answered with NO [BADCHARSET]."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A message with what only the session knows about it."""

    message: Message
    number: int
    is_recent: bool


Test = Callable[[Candidate], bool]
Resolve = Callable[[SequenceSet, bool], frozenset[int]]  # a set, whether of UIDs -> UIDs

_FLAG_KEYS: Final = {word.upper(): "\\" + word for word in ("Answered", "Deleted", "Draft", "Flagged", "Seen")}


@dataclass(frozen=True, slots=True)
class Search:
    """returns: what ESEARCH should report; None for the plain SEARCH answer."""

    test: Test
    returns: frozenset[str] | None


def read_search(arguments: Arguments, resolve: Resolve) -> Search:
    """Parse everything after SEARCH. Raises BadSyntax and UnknownCharset."""
    returns: frozenset[str] | None = None
    arguments.space()
    if arguments.skip(b"RETURN "):
        returns = frozenset(arguments.atoms()) or frozenset({"ALL"})
        if not returns <= {"ALL", "COUNT", "MIN", "MAX"}:
            raise BadSyntax("SEARCH can return MIN, MAX, COUNT and ALL.")
        arguments.space()
    if arguments.skip(b"CHARSET "):
        if arguments.text().upper() not in {"UTF-8", "US-ASCII"}:
            raise UnknownCharset
        arguments.space()
    reader = _KeyReader(arguments, resolve)
    tests = [reader.key(0)]
    while not arguments.at_end():
        arguments.space()
        tests.append(reader.key(0))
    return Search(_all(tests), returns)


def _all(tests: list[Test]) -> Test:
    return lambda candidate: all(test(candidate) for test in tests)


def _with_flag(flag: str) -> Test:
    lowered = flag.lower()
    return lambda candidate: any(own.lower() == lowered for own in candidate.message.row.flags)


def _negated(test: Test) -> Test:
    return lambda candidate: not test(candidate)


def _is_recent(candidate: Candidate) -> bool:
    return candidate.is_recent


class _KeyReader:
    def __init__(self, arguments: Arguments, resolve: Resolve) -> None:
        self._arguments = arguments
        self._resolve = resolve

    def key(self, depth: int) -> Test:
        if depth > MAX_NESTING:
            raise BadSyntax("The search is nested too deeply.")
        if self._arguments.skip(b"("):
            tests = [self.key(depth + 1)]
            while not self._arguments.skip(b")"):
                self._arguments.space()
                tests.append(self.key(depth + 1))
            return _all(tests)
        if self._arguments.sees_sequence_set():
            chosen = self._resolve(self._arguments.sequence_set(), False)
            return lambda candidate: candidate.message.row.uid in chosen
        word = self._arguments.atom()
        return self._simple(word) or self._with_argument(word, depth)

    def _simple(self, word: str) -> Test | None:
        """Keys without an argument."""
        if word in _FLAG_KEYS:
            return _with_flag(_FLAG_KEYS[word])
        if word.startswith("UN") and word[2:] in _FLAG_KEYS:
            return _negated(_with_flag(_FLAG_KEYS[word[2:]]))
        unseen = _negated(_with_flag("\\Seen"))
        return {
            "ALL": lambda _: True,
            "RECENT": _is_recent,
            "OLD": _negated(_is_recent),
            "NEW": _all([_is_recent, unseen]),
        }.get(word)

    def _with_argument(self, word: str, depth: int) -> Test:
        arguments = self._arguments
        arguments.space()
        match word:
            case "NOT":
                return _negated(self.key(depth + 1))
            case "OR":
                first = self.key(depth + 1)
                arguments.space()
                second = self.key(depth + 1)
                return lambda candidate: first(candidate) or second(candidate)
            case "UID":
                chosen = self._resolve(arguments.sequence_set(), True)
                return lambda candidate: candidate.message.row.uid in chosen
            case "KEYWORD":
                return _with_flag(arguments.atom())
            case "UNKEYWORD":
                return _negated(_with_flag(arguments.atom()))
            case "LARGER" | "SMALLER":
                size, sign = arguments.number(), 1 if word == "LARGER" else -1
                return lambda candidate: candidate.message.row.size * sign > size * sign
            case "BEFORE" | "ON" | "SINCE" | "SENTBEFORE" | "SENTON" | "SENTSINCE":
                return _by_day(word, arguments.date())
            case "FROM" | "TO" | "CC" | "BCC" | "SUBJECT":
                return _in_field(word, arguments.text())
            case "HEADER":
                name = arguments.text()
                arguments.space()
                return _in_field(name, arguments.text())
            case "BODY" | "TEXT":
                return _in_text(arguments.text(), with_header=word == "TEXT")
        raise BadSyntax(f"SEARCH does not know {word}.")


def _by_day(word: str, day: int) -> Test:
    day_of = _sent_day if word.startswith("SENT") else _arrival_day
    compare: Callable[[int], bool] = {
        "BEFORE": lambda own: own < day,
        "ON": lambda own: own == day,
        "SINCE": lambda own: own >= day,
    }[word.removeprefix("SENT")]
    return lambda candidate: compare(day_of(candidate.message))


def _arrival_day(message: Message) -> int:
    return datetime.fromtimestamp(message.row.internal_at, UTC).toordinal()


def _sent_day(message: Message) -> int:
    """The day in the Date field, without its zone; the arrival where the field cannot be read."""
    try:
        return parsedate_to_datetime((message.root.value(b"Date") or b"").decode("latin-1")).toordinal()
    except (ValueError, TypeError, IndexError, OverflowError):
        return _arrival_day(message)


def _in_field(name: str, wanted: str) -> Test:
    field, lowered = name.lower().encode(), wanted.lower()

    def test(candidate: Candidate) -> bool:
        fields = candidate.message.root.fields
        return any(key.lower() == field and lowered in readable(value).lower() for key, value in fields)

    return test


def _in_text(wanted: str, *, with_header: bool) -> Test:
    lowered = wanted.lower()

    def test(candidate: Candidate) -> bool:
        root = candidate.message.root
        if with_header and any(lowered in readable(value).lower() for _, value in root.fields):
            return True
        return any(lowered in text.lower() for text in _texts(root))

    return test


def readable(value: bytes) -> str:
    """Decode encoded words (RFC 2047); what cannot be decoded stays as it is."""
    text = value.decode("utf-8", "replace")
    try:
        return str(make_header(decode_header(text))) if "=?" in text else text
    except (LookupError, ValueError):
        return text


def _texts(part: Part) -> list[str]:
    """The decoded text parts of a message."""
    if part.message:
        return _texts(part.message)
    if part.children:
        return [text for child in part.children for text in _texts(child)]
    if part.maintype != b"text":
        return []
    single: EmailMessage = BytesParser().parsebytes(part.header, headersonly=True)
    single.set_payload(part.body.decode("ascii", "surrogateescape"))
    octets = single.get_payload(decode=True)
    charset = dict(part.parameters).get(b"charset", b"utf-8").decode("ascii", "replace")
    try:
        return [octets.decode(charset, "replace") if isinstance(octets, bytes) else ""]
    except LookupError:
        return [octets.decode("utf-8", "replace") if isinstance(octets, bytes) else ""]
