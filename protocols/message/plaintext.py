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
_BREAK = re.compile(
    r"</?(?:p|div|tr|table|ul|ol|h[1-6]|blockquote|pre|section|article|header|footer|hr|address|dl|dt|dd|br)\b[^<>]*>",
    re.IGNORECASE,
)
_ITEM = re.compile(r"<li\b[^<>]*>", re.IGNORECASE)
_CELL = re.compile(r"</t[dh]\s*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z!?][^<>]*>")
_LONG_REFERENCE = re.compile(r"&#[xX]?[0-9a-fA-F]{9,}+;?")
_SPACES = re.compile(r"[ \t\r\f\v\xa0]+")
_BLANK_LINES = re.compile(r"(?:\n ?){3,}")
_INVISIBLE = re.compile("[\u00ad\u034f\u200b-\u200f\u2060-\u2064\ufeff\u202a-\u202e\u2066-\u2069]+")


def html_to_text(markup: str) -> str:
    """Return the visible text of `markup` with line breaks where blocks begin and end. Never raises."""
    text = _without_hidden(markup)
    text = " ".join(text.split())
    text = _ITEM.sub("\n- ", _CELL.sub(" ", _BREAK.sub("\n", text)))
    text = _TAG.sub("", text)
    if "&" in text:
        text = html.unescape(_LONG_REFERENCE.sub("", text))
    return tidy(text)


def tidy(text: str) -> str:
    """Drop invisible characters and needless white space, keep single empty lines."""
    if not text.isascii():
        text = _INVISIBLE.sub("", text)
    text = _SPACES.sub(" ", text)
    text = _BLANK_LINES.sub("\n\n", text.replace(" \n", "\n").replace("\n ", "\n"))
    return text.strip()


def _without_hidden(markup: str) -> str:
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
