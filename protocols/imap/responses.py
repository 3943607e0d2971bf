"""Reading what an IMAP server says: tokens, response codes, and which refusals mean "later" (RFC 9051, 7 and 9)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from protocols.errors import Deferred, ProtocolViolation, Refused
from protocols.wire import readable

Value: TypeAlias = "bytes | list[Value] | None"

DEEPEST_LIST = 50
HIGHEST_UID = 2**32 - 1
HIGHEST_MODSEQ = 2**63 - 1

_TOKEN = re.compile(
    rb"""[ \t]* (?: (?P<open>\() | (?P<close>\))
      | "(?P<quoted>[^"\\]*(?:\\.[^"\\]*)*)"
      | (?P<atom>[^\s()"\[]+ (?:\[[^\]]*\][^\s()"]*)? | \[[^\]]*\]) )""",
    re.VERBOSE | re.DOTALL,
)
_UNTAGGED = re.compile(rb"\* (?:(\d{1,20}) )?([A-Za-z][A-Za-z0-9.-]*) ?", re.ASCII)
_CODE = re.compile(r"\[([A-Za-z0-9-]+)(?: ([^\]]*))?\]")
_LATER_CODES = frozenset({"UNAVAILABLE", "LIMIT", "INUSE", "THROTTLED", "SERVERBUG"})
_LATER_WORDS = re.compile(
    r"too many (?:simultaneous |concurrent )?(?:user |imap |login )?(?:connections|sessions)"
    r"|too many simultaneous|maximum number of (?:concurrent |simultaneous )?connections"
    r"|try again (?:later|in)|temporar(?:y|ily) (?:system |authentication |internal |server )?"
    r"(?:failure|error|problem|unavailable)|service (?:is )?(?:temporarily )?(?:not available|unavailable)"
    r"|rate limit|throttl|authenticated but not connected|server (?:is )?(?:too )?busy|internal (?:server )?error",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Untagged:
    """An untagged response. parts: the rest of the line, then literal, line, literal, line ... in turn."""

    kind: bytes
    number: int
    parts: list[bytes]

    @property
    def text(self) -> str:
        return readable(self.parts[0])


def untagged(parts: list[bytes]) -> Untagged:
    """Take `* 12 EXISTS`, `* LIST ...`, `* OK ...` apart. Raises ProtocolViolation on anything else."""
    match = _UNTAGGED.match(parts[0])
    if match is None:
        raise ProtocolViolation("The server sent a line that is not IMAP.", reply=readable(parts[0], limit=200))
    parts[0] = parts[0][match.end() :]
    return Untagged(match[2].upper(), int(match[1] or -1), parts)


def tokens(parts: Sequence[bytes]) -> list[Value]:
    """Return the values of a response: atoms, quoted strings and literals as octets, NIL as None, lists as lists."""
    top: list[Value] = []
    stack = [top]
    for index, part in enumerate(parts):
        if index % 2:
            stack[-1].append(part)
        else:
            _read_tokens(part, stack)
    if len(stack) != 1:
        raise ProtocolViolation("The server left a list open.", reply=readable(parts[0], limit=200))
    return top


def _read_tokens(text: bytes, stack: list[list[Value]]) -> None:
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise ProtocolViolation("The server sent what cannot be read.", reply=readable(text[position:], limit=200))
        position = match.end()
        if match["open"]:
            if len(stack) > DEEPEST_LIST:
                raise ProtocolViolation(f"The server nested lists more than {DEEPEST_LIST} deep.")
            inner: list[Value] = []
            stack[-1].append(inner)
            stack.append(inner)
        elif match["close"]:
            if len(stack) == 1:
                raise ProtocolViolation("The server closed a list it had not opened.", reply=readable(text, limit=200))
            stack.pop()
        elif match["quoted"] is not None:
            quoted: bytes = match["quoted"]
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", quoted, flags=re.DOTALL) if b"\\" in quoted else quoted)
        else:
            atom: bytes = match["atom"]
            stack[-1].append(None if atom.upper() == b"NIL" else atom)


def whole_number(value: Value, *, highest: int = HIGHEST_UID) -> int:
    """Read a number that must fit; ProtocolViolation for anything else."""
    if isinstance(value, bytes) and value.isdigit() and len(value) <= 20 and int(value) <= highest:
        return int(value)
    shown = readable(value, limit=60) if isinstance(value, bytes) else "a list or NIL"
    raise ProtocolViolation(f"The server sent {shown} where a number up to {highest} belongs.")


def response_code(reply: str) -> tuple[str, str]:
    """Return the code in square brackets at the start of a reply and its argument, upper-cased: ("UIDNEXT", "4")."""
    match = _CODE.match(reply)
    return (match[1].upper(), match[2] or "") if match else ("", "")


def means_later(reply: str) -> bool:
    """Tell whether a refusal is about load and not about us: the same command may succeed in a while."""
    return response_code(reply)[0] in _LATER_CODES or _LATER_WORDS.search(reply) is not None


def refusal(reply: str) -> Refused | Deferred:
    """The error for a tagged NO or BAD."""
    if means_later(reply):
        return Deferred("The server asks to come back later.", reply=reply)
    return Refused("The server refused.", reply=reply)
