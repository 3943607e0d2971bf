"""What a hostile browser sends, and how the walk finds out what a route reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from html.parser import HTMLParser
from typing import Final
from unittest import mock
from urllib.parse import quote

from django.db import connection
from django.http import QueryDict
from django.utils.datastructures import MultiValueDict

#: Stands in the page as it is only where a value was not escaped.
MARKUP: Final = "\"'><hostile-tag onload=alert(1)>"
TOKEN: Final = "csrfmiddlewaretoken"  # the library's own, and not asked for by test clients
SVG: Final = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'

#: Values of a field, by what is wrong with them. Octets are sent as they are, in percent encoding.
VALUES: Final[dict[str, bytes]] = {
    "nothing": b"",
    "10,000 characters": b"x" * 10_000,
    "a megabyte": b"x" * 1_000_000,
    "NUL": b"a\0b",
    "line breaks": b"a\r\nBcc: x@example.org\r\n\r\nb",
    "a word": b"abc",
    "a huge number": b"99999999999999999999",
    "a negative number": b"-1",
    "half a surrogate pair": b"a\xed\xa0\x80b",
    "no UTF-8": b"a\xff\xfeb",
    "bidirectional controls": "pay\u202egnp.exe\u2066x\u200f\u200b".encode(),
    "emoji": "😀 👩‍👩‍👧".encode(),
    "markup": MARKUP.encode(),
    "an address with a line break": b"a@example.org\r\nBcc: b@example.org",
    "a date beyond all": b"99999-99-99",
    "an Arabic digit": "٣".encode(),
}
#: Files of a field: name, media type, octets.
FILES: Final[dict[str, tuple[str, str, bytes]]] = {
    "a file": ("note.txt", "text/plain", b"text"),
    "SVG as an image": ("logo.png", "image/png", SVG),
    "HTML as an image": ("logo.png", "image/png", b"<html><script>alert(1)</script>"),
    "a large file": ("large.png", "image/png", b"\x89PNG\r\n\x1a\n" + bytes(1_000_000)),
    "an empty file": ("empty.png", "image/png", b""),
    "a file with a hostile name": ('..\\../"\r\n<hostile-tag>\u202egnp.exe', "text/html\r\nX: y", b"text"),
}
#: A query is as long as servers let it be.
QUERY_VALUES: Final = {what: value[:4_000] for what, value in VALUES.items() if what != "a megabyte"}

Values = Mapping[str, list[bytes]]


@contextmanager
def watching() -> Iterator[set[str]]:
    """The names that are looked for in a query or a form, be it by a form class or by hand."""
    asked: set[str] = set()

    def noting(original: Callable[..., object]) -> Callable[..., object]:
        def look(self: MultiValueDict[str, object], key: str, *rest: object) -> object:
            if isinstance(self, QueryDict) and isinstance(key, str) and key != TOKEN:
                asked.add(key)
            return original(self, key, *rest)

        return look

    with ExitStack() as patched:
        for name in ("__getitem__", "getlist", "__contains__"):
            original = getattr(MultiValueDict, name)
            patched.enter_context(mock.patch.object(MultiValueDict, name, noting(original)))
        yield asked


@contextmanager
def writes() -> Iterator[list[str]]:
    """The tables that are written to, in order."""
    written: list[str] = []

    def note(execute: Callable[..., object], sql: str, params: object, many: bool, context: object) -> object:
        if match := re.match(r'(?:INSERT INTO|UPDATE|DELETE FROM)\s+"(\w+)"', sql):
            written.append(match[1])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield written


class FormReader(HTMLParser):
    """Reads what a browser would send to `url` from a form on the page at `page`: to save, or to check."""

    def __init__(self, url: str, page: str) -> None:
        super().__init__()
        self.url, self.page = url, page
        self.values: dict[str, list[bytes]] = {}
        self.files: set[str] = set()
        self.typed: set[str] = set()  # free text, numbers and ticks; the others may be keys of rows
        self._inside = False
        self._select = ""
        self._textarea = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "form":
            targets = {given.get("hx-post"), given.get("data-check"), given.get("action", self.page)}
            self._inside = self.url in targets and ("hx-post" in given or given.get("method") == "post")
        elif not self._inside:
            return
        elif tag == "option" and self._select and ("selected" in given or not self.values[self._select]):
            self.values[self._select] = [given.get("value", "").encode()]
        elif not name or name == TOKEN:
            return
        elif tag == "input" and given.get("type") == "file":
            self.files.add(name)
        elif tag == "input" and given.get("type") != "submit":
            ticked = given.get("type") in ("checkbox", "radio")
            missing = ticked and "checked" not in given
            self._add(name, None if missing else given.get("value", "on" if ticked else ""))
            if given.get("type") not in ("hidden", "radio") and not (ticked and "value" in given):
                self.typed.add(name)
        elif tag == "select":
            self._select = name
            self._add(name, None)
        elif tag == "textarea":
            self._textarea = name
            self._add(name, "")
            self.typed.add(name)

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "form"
        self._select = "" if tag == "select" else self._select
        self._textarea = "" if tag == "textarea" else self._textarea

    def handle_data(self, data: str) -> None:
        if self._textarea:
            self.values[self._textarea] = [data.encode()]

    def _add(self, name: str, value: str | None) -> None:
        held = self.values.setdefault(name, [])
        if value is not None:
            held.append(value.encode())


def encoded(values: Values) -> str:
    """`values` as a query or the body of a form, octet for octet."""
    return "&".join(f"{quote(name)}={quote(value)}" for name, held in values.items() for value in held)


def multipart(values: Values, name: str, file: tuple[str, str, bytes]) -> tuple[bytes, str]:
    """Body and Content-Type of a form with one file."""
    boundary = b"----a-boundary-of-this-test"
    parts = [
        b'Content-Disposition: form-data; name="%s"\r\n\r\n%s' % (key.encode(), value)
        for key, held in values.items()
        if key != name
        for value in held
    ]
    filename, media_type, octets = file
    head = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\nContent-Type: {media_type}'
    parts.append(head.encode() + b"\r\n\r\n" + octets)
    body = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts) + b"--" + boundary + b"--\r\n"
    return body, f"multipart/form-data; boundary={boundary.decode()}"
