"""How deep the elements of hostile HTML may lie in each other: parsing takes time with the square of the depth."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

DEEPEST: Final = 800  # elements in each other; long threads of quotations reach about 300

_TOKEN = re.compile(r"<!--|-->|<(/?)([a-zA-Z][a-zA-Z0-9:-]*)([^<>]*)(>?)")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_VOID: Final = {
    *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"),
}
_ENDED_BY_THE_NEXT: Final = {
    *("body", "dd", "dt", "head", "html", "li", "option", "p", "tbody", "td", "tfoot", "th", "thead", "tr"),
}
_NOT_COUNTED: Final = _VOID | _ENDED_BY_THE_NEXT
_RAW_TEXT: Final = {"iframe", "noembed", "noframes", "noscript", "script", "style", "textarea", "title", "xmp"}


def is_too_deep(html: str) -> bool:
    """Tell whether elements may lie more than `DEEPEST` deep. Linear, and wrong only by saying yes too early.

    Every opening tag counts. A closing tag counts only where nothing speaks against it: not within a comment, raw text
    or what may be the value of an attribute.
    """
    if html.count("<") <= DEEPEST:
        return False
    lying: Counter[str] = Counter()
    depth = 0
    in_comment = in_value = False
    raw_text = ""
    for token in _TOKEN.finditer(html):
        if token[2] is None:
            in_comment = token[0] == "<!--"
            continue
        name = token[2].lower()
        if token[1]:
            if name == raw_text:
                raw_text = ""
            if lying[name] and not (in_comment or in_value or raw_text):
                lying[name] -= 1
                depth -= 1
            continue
        in_value = not token[4] or not {'"', "'"}.isdisjoint(_QUOTED.sub("", token[3]))
        if name in _RAW_TEXT and not in_comment:
            raw_text = raw_text or name
        if name not in _NOT_COUNTED:
            lying[name] += 1
            depth += 1
            if depth > DEEPEST:
                return True
    return False
