"""The plain text that goes beside HTML of our own making (RFC 2046, 5.1.4): links, lists, quotations and tables stay.

`plaintext.html_to_text` is for search and previews and knows no structure; this is what people read whose program
shows no HTML. Linear in its input; never raises.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from protocols.message.plaintext import without_hidden

_PIECE = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*+)([^<>]*+)>")
_ATTRIBUTE = {
    name: re.compile(rf"""(?:^|\s){name}\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'<>]+))""", re.IGNORECASE)
    for name in ("href", "alt", "start")
}
_SPACE = re.compile(r"[ \t\r\n\f]+")
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]+")
_BLOCKS = frozenset(
    (
        *("address", "article", "center", "dd", "div", "dl", "dt", "footer", "form", "header", "main", "nav"),
        *("section", "table", "tbody", "tfoot", "thead", "caption"),
    )
)
_SPACED = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6"))
_DEEPEST = 20  # quotations and lists in each other that are still marked
_LONGEST_ROW = 4_000  # characters; what is longer is no table that anybody reads
_RULE = "-" * 40


@dataclass(slots=True)
class _List:
    number: int | None  # of the next item; None: a bullet


@dataclass(slots=True)
class _Link:
    address: str
    begins_at: int  # in the text of the line


@dataclass(slots=True)
class _Writer:
    """Collects lines; an empty one is written only before the next that says something."""

    lines: list[str] = field(default_factory=list)
    line: str = ""
    wants_blank: bool = False
    blank_quotes: int = 0  # how deep quotations were where it was asked for
    quotes: int = 0
    lists: list[_List] = field(default_factory=list)
    link: _Link | None = None
    preformatted: int = 0
    cells: int = 0  # of the row that is being written
    in_row: int = 0
    bullet: str = ""

    def text(self, words: str) -> None:
        if self.preformatted:
            first, *others = words.replace("\r\n", "\n").split("\n")
            self.line += first
            for other in others:
                self.end_line(keeps_empty=True)
                self.line = other
            return
        words = _SPACE.sub(" ", words)
        if not self.line or self.line.endswith(" "):
            words = words.lstrip(" ")
        self.line += words

    def end_line(self, *, keeps_empty: bool = False) -> None:
        line = self.line.rstrip() if not self.line.startswith("-- ") else self.line
        self.line = ""
        if self.link is not None:
            self.link.begins_at = 0
        if not line and not keeps_empty:
            return
        if self.wants_blank and self.lines:
            self.lines.append(("> " * min(self.quotes, self.blank_quotes, _DEEPEST)).rstrip())
        self.wants_blank = False
        self.lines.append((self._margin(len(self.lists) - bool(self.bullet)) + self.bullet + line).rstrip(" "))
        self.bullet = ""

    def blank(self) -> None:
        self.end_line()
        self._want_blank()

    def _want_blank(self) -> None:
        """Between two quotations of different depth it belongs to the outer one."""
        self.blank_quotes = min(self.blank_quotes, self.quotes) if self.wants_blank else self.quotes
        self.wants_blank = True

    def _margin(self, lists: int) -> str:
        return "> " * min(self.quotes, _DEEPEST) + "  " * max(0, min(lists, _DEEPEST))

    # Elements --------------------------------------------------------------------------------------------------

    def open(self, tag: str, attributes: str) -> None:
        if tag == "br":
            self.end_line(keeps_empty=True)
        elif tag in _SPACED:
            self.block() if self.in_row or self.bullet else self.blank()
        elif tag in _BLOCKS:
            self.block()
        elif tag == "hr":
            self.blank()
            self.line = _RULE
            self.blank()
        elif tag in _OPENING:
            _OPENING[tag](self, attributes)

    def close(self, tag: str) -> None:
        if tag in _SPACED:
            self.block() if self.in_row or self.lists else self.blank()
        elif tag == "table":
            self.blank()
        elif tag in _BLOCKS:
            self.block()
        elif tag in _CLOSING:
            _CLOSING[tag](self)

    def block(self) -> None:
        """A new line; within a row of a table only a space, so that the row stays one line."""
        if self.in_row:
            self.text(" ")
        elif not self.bullet or self.line:
            self.end_line()

    def open_link(self, attributes: str) -> None:
        self.link = _Link(_value("href", attributes), len(self.line))

    def close_link(self) -> None:
        """The address behind the words, unless they are the address."""
        link, self.link = self.link, None
        if link is None:
            return
        words = self.line[link.begins_at :].strip()
        bare = link.address.removeprefix("mailto:").removeprefix("tel:")
        plain = bare.removeprefix("https://").removeprefix("http://").rstrip("/")
        if link.address and not link.address.startswith("#") and words.rstrip("/") not in (bare.rstrip("/"), plain):
            self.line = f"{self.line.rstrip()} <{bare}>" if words else f"{self.line}<{bare}>"

    def picture(self, attributes: str) -> None:
        if alt := _value("alt", attributes).strip():
            self.text(f"[{alt}]")

    def open_quote(self, _: str) -> None:
        self.blank() if not self.quotes else self.end_line()
        self.quotes += 1

    def close_quote(self) -> None:
        self.end_line()
        self.quotes = max(0, self.quotes - 1)
        self._want_blank()

    def open_list(self, attributes: str, *, numbered: bool) -> None:
        self.end_line() if self.lists else self.blank()
        start = _value("start", attributes)
        self.lists.append(_List((int(start) if start.isdecimal() and len(start) < 9 else 1) if numbered else None))

    def close_list(self) -> None:
        self.end_line()
        self.bullet = ""
        if self.lists:
            self.lists.pop()
        if not self.lists:
            self._want_blank()

    def item(self, _: str) -> None:
        self.end_line()
        self.bullet = "- "
        if self.lists and (number := self.lists[-1].number) is not None:
            self.bullet = f"{number}. "
            self.lists[-1].number = number + 1

    def close_item(self) -> None:
        self.end_line()
        self.bullet = ""

    def open_row(self, _: str) -> None:
        if not self.in_row:
            self.end_line()
            self.cells = 0
        self.in_row += 1

    def close_row(self) -> None:
        self.in_row = max(0, self.in_row - 1)
        if not self.in_row:
            self.line = self.line.rstrip(" |")
            self.end_line()

    def cell(self, _: str) -> None:
        if len(self.line) > _LONGEST_ROW:
            self.end_line()
        if self.in_row > 1:
            self.text(" ")
        elif self.cells and self.line.strip():
            self.line = f"{self.line.rstrip()} | "
        self.cells += 1

    def open_preformatted(self, _: str) -> None:
        self.blank()
        self.preformatted += 1

    def close_preformatted(self) -> None:
        self.blank()
        self.preformatted = max(0, self.preformatted - 1)


_OPENING: dict[str, Callable[[_Writer, str], None]] = {
    "a": _Writer.open_link,
    "img": _Writer.picture,
    "blockquote": _Writer.open_quote,
    "ul": lambda writer, attributes: writer.open_list(attributes, numbered=False),
    "ol": lambda writer, attributes: writer.open_list(attributes, numbered=True),
    "li": _Writer.item,
    "tr": _Writer.open_row,
    "td": _Writer.cell,
    "th": _Writer.cell,
    "pre": _Writer.open_preformatted,
}
_CLOSING: dict[str, Callable[[_Writer], None]] = {
    "a": _Writer.close_link,
    "blockquote": _Writer.close_quote,
    "ul": _Writer.close_list,
    "ol": _Writer.close_list,
    "li": _Writer.close_item,
    "tr": _Writer.close_row,
    "pre": _Writer.close_preformatted,
}


def readable_text(markup: str) -> str:
    """Return `markup` as plain text: "words <address>", "- item", "1. item", "> quotation", "cell | cell"."""
    writer = _Writer()
    markup = without_hidden(markup)
    end = 0
    for piece in _PIECE.finditer(markup):
        _write_text(writer, markup[end : piece.start()])
        end = piece.end()
        closes, tag = piece[1], piece[2].lower()
        if closes:
            writer.close(tag)
        else:
            writer.open(tag, piece[3])
    _write_text(writer, markup[end:])
    writer.end_line()
    return "\n".join(writer.lines).strip("\n")


def _write_text(writer: _Writer, words: str) -> None:
    if words:
        writer.text(_unescaped(words))


def _unescaped(words: str) -> str:
    if "&" in words:
        words = html.unescape(re.sub(r"&#[xX]?[0-9a-fA-F]{9,}+;?", "", words))
    return _INVISIBLE.sub("", words).replace("\xa0", " ") if not words.isascii() else words


def _value(name: str, attributes: str) -> str:
    found = _ATTRIBUTE[name].search(attributes)
    return html.unescape(next(filter(None, found.groups()), "")) if found else ""
