"""Folder names on the wire: modified UTF-7 (RFC 3501, 5.1.3)."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from typing import Final

_SHIFTED: Final = re.compile(r"&([^-]*)-")
_FOREIGN: Final = re.compile(r"[^ -~]+")


def encode(name: str) -> bytes:
    """Return the name as clients see it: "Zamówienia" becomes b"Zam&APM-wienia"."""
    return _FOREIGN.sub(lambda run: f"&{_base64(run[0])}-", name.replace("&", "&-")).encode("ascii")


def decode(name: bytes) -> str:
    """Read a name from the wire. UTF-8 from careless clients is taken too. Raises ValueError when it is neither."""
    text = name.decode("utf-8")
    return _SHIFTED.sub(lambda shift: _text(shift[1]) if shift[1] else "&", text)


def _base64(text: str) -> str:
    return b64encode(text.encode("utf-16-be")).decode("ascii").rstrip("=").replace("/", ",")


def _text(coded: str) -> str:
    padded = coded.replace(",", "/") + "=" * (-len(coded) % 4)
    return b64decode(padded, validate=True).decode("utf-16-be")
