"""Address lists (RFC 5322, 3.4), read in one linear pass.

The octets are split into names and addr-specs first and decoded afterwards, so that no encoded word can ever become
an address, a comma or an angle bracket (the class of CVE-2023-27043). What stands between angle brackets is the
address; everything else is only a name, however much it looks like an address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from protocols.message.charsets import decode_header_octets
from protocols.message.headers import clean, decode_words, unfold
from protocols.message.limits import LIMITS


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox as a header field gives it.

    name:    the display name, decoded; "" when there is none.
    address: the addr-spec as written, never decoded; "" when the field holds none; without "@" where the
             brackets hold only a local part.
    """

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class AddressList:
    """The addresses of one or several fields, and what was wrong with them."""

    addresses: tuple[Address, ...]
    defects: tuple[str, ...] = ()


_ATOM, _QUOTED, _SPACE = 1, 2, 3
_CACHED = 200  # characters; the same people write to the same people, and the cache stays small whatever arrives
_MANY_WORDS = 50
_AN_ATOM = r"""((?:[^\s"(),:;<>\[]|\[[^\[\]\s<>]*+\]|\[)++)"""  # "@", "." and domain literals included
_A_QUOTED_STRING = r"""|"((?:[^"\\]|\\.)*+)\""""
_NO_QUOTED_STRING = r"""|((?!))"""
_A_SPACE = r"|(\s++)"
_TOKEN = re.compile(_AN_ATOM + _A_QUOTED_STRING + _A_SPACE, re.DOTALL)
_BARE_TOKEN = re.compile(_AN_ATOM + _NO_QUOTED_STRING + _A_SPACE)
_ANGLE = re.compile(r'<((?:[^<>"]|"(?:[^"\\]|\\.)*+")*+)>', re.DOTALL)
_BARE_ANGLE = re.compile(r"<([^<>]*+)>")
_COMMENT_STEP = re.compile(r"(?:[^()\\]|\\.)*+([()])", re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_ENCODED_WORD = re.compile(r"=\?[^?\s]+\?[bBqQ]\?[^?\s]*\?=")
_SIMPLE_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+")
_SIMPLE_ENTRY = re.compile(
    r"""[ \t]*+(?:(?:"([^"\\]*+)"[ \t]*+|([^"\\<>(),:;@\[\]]*+))<("""  # a name and an angle bracket
    + _SIMPLE_ADDRESS.pattern
    + ")>|("  # or an address alone
    + _SIMPLE_ADDRESS.pattern
    + r"))[ \t]*+(?:,|\Z)"
)
_COMMENT = re.compile(r"\([^()]*+\)")
_ROUTE = re.compile(r"(?:[\s,]*+@[^,:@\s]++)++\s*+:")


def parse_addresses(values: list[bytes], charset: str = "", *, limit: int = LIMITS.addresses) -> AddressList:
    """Read the folded values of all fields of one name. Never raises; at most `limit` addresses are returned."""
    found: list[Address] = []
    defects: list[str] = []
    for value in values:
        simple = _simple_list(decode_header_octets(unfold(value), charset), limit - len(found))
        if simple is not None:
            found += simple
            continue
        scanner = _Scanner(decode_header_octets(unfold(value), charset), limit - len(found))
        scanner.run()
        found += scanner.found
        defects += scanner.defects
    return AddressList(tuple(found), tuple(dict.fromkeys(defects)))


def read_addresses(text: str) -> tuple[Address, ...] | None:
    """Read the unfolded text of one field where it holds plain entries alone; None when there is anything else."""
    return _cached_addresses(text) if len(text) <= _CACHED else _plain_addresses(text)


def _plain_addresses(text: str) -> tuple[Address, ...] | None:
    simple = _simple_list(text, LIMITS.addresses)
    return None if simple is None else tuple(simple)


_cached_addresses = lru_cache(maxsize=4096)(_plain_addresses)


def _simple_list(text: str, limit: int) -> list[Address] | None:
    """Read the list by a pattern for plain entries alone; None when there is anything else in it."""
    found: list[Address] = []
    position, end = 0, len(text)
    while position < end:
        entry = _SIMPLE_ENTRY.match(text, position)
        if entry is None or len(found) >= limit:
            return None
        quoted, phrase, angle, bare = entry.groups()
        found.append(Address(_words(quoted or phrase or ""), angle or bare))
        position = entry.end()
    return found


@dataclass(slots=True)
class _Word:
    text: str
    kind: int
    glued: bool  # no white space before it


@dataclass(slots=True)
class _Scanner:
    text: str
    limit: int
    found: list[Address] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)
    words: list[_Word] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    angle: str | None = None
    holds_address: bool = False  # one of `words` is an address
    # Set once an opening mark has no closing one: from there on it is an ordinary character, so time stays linear.
    quotes_open: bool = False
    comments_open: bool = False

    def run(self) -> None:
        text, position, end, glued = self.text, 0, len(self.text), False
        while position < end:
            token = (_BARE_TOKEN if self.quotes_open else _TOKEN).match(text, position)
            if token:
                position, kind = token.end(), token.lastindex
                if kind == _SPACE:
                    glued = False
                    continue
                if self.angle is not None and "@" in token.group():  # <a@example.org> b@example.org, without a comma
                    self._finish("ambiguous_address")
                if self.angle is None:
                    word = _Word(token.group(kind or 0), kind or _ATOM, glued)
                    self.words.append(word)
                    self.holds_address = self.holds_address or _holds_address(word)
                glued = True
                continue
            position = self._special(text[position], position)
            glued = False
            if len(self.found) >= self.limit:
                self.defects.append("too_many_addresses")
                return
        self._finish()
        if len(self.found) > self.limit:
            del self.found[self.limit :]

    def _special(self, mark: str, position: int) -> int:
        """Handle the character at `position` that begins no word; return where to go on."""
        if mark == "<":
            angle = (_BARE_ANGLE if self.quotes_open else _ANGLE).match(self.text, position)
            if angle is None:
                self.defects.append("malformed_address")
                return position + 1
            if self.angle is not None:
                self._finish("ambiguous_address")
            self.angle = angle.group(1)
            return angle.end()
        if mark == "(" and not self.comments_open:
            return self._comment(position)
        if mark == '"':
            if not self.quotes_open:
                self.defects.append("malformed_address")
            self.quotes_open = True
        elif mark in ",;":
            self._finish()
        elif mark == ":" and self.angle is None and not self.holds_address:
            self.words.clear()  # the name of a group (3.4): its members follow
            self.comments.clear()
        return position + 1

    def _comment(self, start: int) -> int:
        depth, position = 0, start
        while step := _COMMENT_STEP.match(self.text, position):
            position = step.end()
            depth += 1 if step[1] == "(" else -1
            if depth == 0:
                self.comments.append(self.text[start + 1 : position - 1])
                return position
        self.comments_open = True
        self.defects.append("malformed_address")
        return start + 1

    def _finish(self, defect: str = "") -> None:
        """Turn what was collected since the last comma into an address."""
        if defect:
            self.defects.append(defect)
        if self.angle is not None:
            self._finish_angle(self.angle)
        elif self.words:
            self._finish_bare()
        self.words.clear()
        self.comments.clear()
        self.angle = None
        self.holds_address = False

    def _finish_angle(self, angle: str) -> None:
        name = _phrase(self.words) or _words(" ".join(self.comments))
        address = _angle_address(angle)
        if not address:
            self.defects.append("malformed_address")
            name = name or _words(angle)
        elif address.count("@") > 1 and '"' not in address:
            self.defects.append("malformed_address")
        if name or address:
            self.found.append(Address(name, address))

    def _finish_bare(self) -> None:
        words = _joined(self.words)
        holders = [word for word in words if _holds_address(word)]
        comment = _words(" ".join(self.comments))
        if not holders:
            name = _phrase(words)
            if name and comment:
                name = f"{name} ({comment})"
            if name := name or comment:
                self.found.append(Address(name, ""))
                self.defects.append("malformed_address")
            return
        name = _phrase([word for word in words if not _holds_address(word)]) or comment
        if len(holders) > 1 or holders[0].text.count("@") > 1:
            self.defects.append("malformed_address")
        self.found += [Address(name if len(holders) == 1 else "", clean(holder.text)) for holder in holders]


def _holds_address(word: _Word) -> bool:
    at = word.text.rfind("@")
    return word.kind == _ATOM and 0 < at < len(word.text) - 1 and not _ENCODED_WORD.fullmatch(word.text)


def _joined(words: list[_Word]) -> list[_Word]:
    """Glue the pieces of addr-specs such as `bob @ example.org` and `"bob b"@example.org` (RFC 5322, 4.4)."""
    if len(words) > _MANY_WORDS:
        return words
    joined: list[_Word] = []
    for word in words:
        last = joined[-1] if joined else None
        starts_domain = word.kind == _ATOM and word.text.startswith("@")
        if last is not None and starts_domain and not _holds_address(last):
            local = f'"{last.text}"' if last.kind == _QUOTED else last.text
            if last.kind == _QUOTED and not word.glued:
                joined.append(word)
                continue
            joined[-1] = _Word(local + word.text, _ATOM, last.glued)
        elif last is not None and word.kind == _ATOM and last.kind == _ATOM and last.text.endswith("@"):
            joined[-1] = _Word(last.text + word.text, _ATOM, last.glued)
        else:
            joined.append(word)
    return joined


def _angle_address(angle: str) -> str:
    if _SIMPLE_ADDRESS.fullmatch(angle):
        return angle
    inside = angle.strip()
    route = _ROUTE.match(inside)
    if route:
        inside = inside[route.end() :]  # a source route (RFC 5322, 4.4) is not part of the address
    if '"' in inside:
        return clean(inside)
    inside = _COMMENT.sub("", inside)
    pieces = inside.split()
    if sum("@" in piece.strip("@") for piece in pieces) > 1 or _ENCODED_WORD.fullmatch(inside.strip()):
        return ""
    if "@" not in inside and len(pieces) > 1:
        return ""
    return clean("".join(pieces))


def _phrase(words: list[_Word]) -> str:
    pieces: list[str] = []
    for word in words:
        if pieces and not word.glued:
            pieces.append(" ")
        pieces.append(_QUOTED_PAIR.sub(r"\1", word.text) if word.kind == _QUOTED else word.text)
    return _words("".join(pieces))


def _words(text: str) -> str:
    return clean(decode_words(text) if "=?" in text else text)
