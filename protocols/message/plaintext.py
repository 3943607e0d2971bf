"""What a reader would see of an HTML body, as plain text: for search, previews and quoting. Linear in its input."""

from __future__ import annotations

import html
import re

# Each pattern stops at the next "<" or is cut off behind its last closing mark, so that no input makes it rescan.
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_HIDDEN = {
    name: re.compile(rf"<{name}\b[^<>]*>.*?</{name}\s*>", re.DOTALL | re.IGNORECASE)
    for name in ("head", "style", "script", "title")
}
_HIDDEN_CLOSE = re.compile(r"</(head|style|script|title)", re.IGNORECASE)
_TAG = re.compile(r"<(/?[a-zA-Z!?][a-zA-Z0-9]*+)[^<>]*+>")
_BLOCKS = (
    *("p", "div", "tr", "table", "ul", "ol", "dl", "dt", "dd", "pre", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6"),
    *("section", "article", "header", "footer", "address"),
)
_MARKS = dict.fromkeys(("br", "/br", "hr", *_BLOCKS, *("/" + block for block in _BLOCKS)), "\n")
_MARKS |= {"li": "\n- ", "/td": " ", "/th": " "}
_MARKS |= {tag.upper(): mark for tag, mark in _MARKS.items()}
_LONG_REFERENCE = re.compile(r"&#[xX]?[0-9a-fA-F]{9,}+;?")
_BLANK_LINES = re.compile(r"\n{3,}")
_INVISIBLE = re.compile("[\u00ad\u034f\u200b-\u200f\u2060-\u2064\ufeff\u202a-\u202e\u2066-\u2069]+")


def html_to_text(markup: str) -> str:
    """Return the visible text of `markup` with line breaks where blocks begin and end. Never raises."""
    pieces = _TAG.split(without_hidden(markup).replace("\n", " "))
    pieces[1::2] = [_MARKS.get(tag, "") for tag in pieces[1::2]]
    text = "".join(pieces)
    if "&" in text:
        text = html.unescape(_LONG_REFERENCE.sub("", text))
    return tidy(text)


def tidy(text: str) -> str:
    """Drop invisible characters and needless white space, keep single empty lines."""
    if not text.isascii():
        text = _INVISIBLE.sub("", text)
    text = "\n".join([" ".join(line.split()) for line in text.split("\n")])
    return _BLANK_LINES.sub("\n\n", text).strip()


def without_hidden(markup: str) -> str:
    """Remove comments and the elements whose content is never shown."""
    markup = _removed(_COMMENT, markup, markup.rfind("-->") + 3)
    last: dict[str, int] = {}
    for close in _HIDDEN_CLOSE.finditer(markup):
        last[close.group(1).lower()] = len(markup) - close.start()
    for name, from_end in last.items():
        end = markup.find(">", max(0, len(markup) - from_end)) + 1  # what was removed so far stood before it
        markup = _removed(_HIDDEN[name], markup, end)
    return markup


def _removed(pattern: re.Pattern[str], markup: str, end: int) -> str:
    """Remove the matches before `end`, where the last closing mark ends; behind it nothing can match."""
    return pattern.sub("", markup[:end]) + markup[end:] if end > 2 else markup
