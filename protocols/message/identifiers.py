"""Message identifiers in fields (RFC 5322, 3.6.4)."""

from __future__ import annotations

import re

_MESSAGE_ID = re.compile(r"<([^<>]{1,2000})>")
_ONE = re.compile(r"<[!-;=?-~]{1,2000}>")


def message_ids(text: str, most: int) -> tuple[str, ...]:
    """Return the message identifiers of an unfolded field in order, each once; of too many the first and the newest."""
    if not text:
        return ()
    if _ONE.fullmatch(text):
        return (text[1:-1],)
    found: list[str] = _MESSAGE_ID.findall(text)
    if not found and "<" not in text and ">" not in text:
        found = [token for token in text.split() if "@" in token] or text.split()[:1]  # written without brackets
    if len(found) > most:
        found = [found[0], *found[1 - most :]] if most > 1 else found[:1]
    return tuple(dict.fromkeys(filter(None, ["".join(each.split()) for each in found])))
