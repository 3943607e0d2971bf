"""Reading To, Cc and the like for ENVELOPE (RFC 5322, 3.4): one pass, any octets, never raises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MAX_OCTETS: Final = 64 * 1024  # of one header field; what is longer is cut

_PIECE: Final = re.compile(rb'"((?:\\.|[^"\\])*)"|[(),:;<>@]|\s+|[^"(),:;<>@\s]+|"', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Address:
    """name: display name or None. A group begins with (local=its name, host=None) and ends with local=None."""

    name: bytes | None
    local: bytes | None
    host: bytes | None


def parse_addresses(value: bytes) -> list[Address]:
    """Return the addresses of an unfolded field, groups in IMAP's marker form (RFC 3501, 7.4.2)."""
    return list(_Reader(value[:MAX_OCTETS]).read())


class _Reader:
    def __init__(self, value: bytes) -> None:
        self._pieces = _PIECE.finditer(value)
        self._forget()

    def _forget(self) -> None:
        self._words = b""
        self._angle: bytes | None = None
        self._comment = b""

    def read(self) -> Iterator[Address]:
        grouped = False
        for match in self._pieces:
            piece = match[0]
            if piece == b"(":
                self._comment = self._read_comment()
            elif piece == b"<":
                self._angle = self._read_angle()
            elif piece == b":" and not grouped:
                yield Address(None, self._words.strip() or b"group", None)
                self._forget()
                grouped = True
            elif piece in (b",", b";"):
                yield from self._finish()
                if piece == b";" and grouped:
                    yield Address(None, None, None)
                    grouped = False
            else:
                self._words += _unquote(match[1]) if match[1] is not None else (b" " if piece.isspace() else piece)
        yield from self._finish()
        if grouped:
            yield Address(None, None, None)

    def _read_comment(self) -> bytes:
        depth, text = 1, []
        for match in self._pieces:
            depth += {b"(": 1, b")": -1}.get(match[0], 0)
            if depth == 0:
                break
            text.append(match[0])
        return b"".join(text).strip()

    def _read_angle(self) -> bytes:
        text = []
        for match in self._pieces:
            if match[0] == b">":
                break
            text.append(match[0].strip())
        route_free = b"".join(text)
        return route_free.rpartition(b":")[2] if route_free.startswith(b"@") else route_free

    def _finish(self) -> Iterator[Address]:
        words = b" ".join(self._words.split())
        if self._angle is not None:
            local, _, host = self._angle.rpartition(b"@") if b"@" in self._angle else (self._angle, b"", b"")
            yield Address(words or None, local, host)
        elif words:
            local, _, host = words.rpartition(b"@") if b"@" in words else (words, b"", b"")
            yield Address(self._comment or None, local.replace(b" ", b""), host.strip())
        self._forget()


def _unquote(text: bytes) -> bytes:
    return re.sub(rb"\\(.)", rb"\1", text)
