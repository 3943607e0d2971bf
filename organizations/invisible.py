"""Characters that nobody sees, and that make a text look like another one (Unicode UAX #9, UTS #55; threat T28)."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

#: Turn the direction of writing, or bracket what is turned.
DIRECTING: Final = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_DIRECTING: Final = re.compile(f"[{DIRECTING}]")
_INVISIBLE: Final = re.compile(
    f"[{DIRECTING}\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2064\u206a-\u206f\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_JOINER: Final = re.compile("[\u200c\u200d]")
#: Letters without case, their marks, and pictures: Persian, Hindi and families of emoji are written with joiners.
_JOINED: Final = frozenset(("Lo", "Lm", "Mn", "Mc", "So", "Sk"))


def invisible_in(text: str) -> str:
    """The first character of `text` that a name must not have; "" where there is none.

    Joiners are refused only where they join nothing, such as between Latin letters.
    """
    if match := _INVISIBLE.search(text):
        return match[0]
    for match in _JOINER.finditer(text):
        before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
        if not (before and after and {unicodedata.category(before), unicodedata.category(after)} <= _JOINED):
            return match[0]
    return ""


def undirected(text: str) -> str:
    """`text` of others as it is shown: what would turn its direction is seen as U+FFFD and turns nothing."""
    return _DIRECTING.sub("\ufffd", text)
