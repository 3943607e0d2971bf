"""Domain names as they go over the wire: A-labels (RFC 5891)."""

from __future__ import annotations

import re

import idna

_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
_LITERAL = re.compile(r"\[(?:[0-9.]{7,15}|IPv6:[0-9A-Fa-f:.]{2,45})\]")
_LONGEST = 253


def ascii_domain(domain: str) -> str:
    """Return `domain` in ASCII, U-labels turned into A-labels. Raises ValueError when it is no domain name.

    An underscore is refused; an address literal such as "[192.0.2.1]" is allowed (RFC 5321, 4.1.3).
    """
    if _LITERAL.fullmatch(domain):
        return domain
    try:
        name = domain if domain.isascii() else idna.encode(domain, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as exc:
        raise ValueError(f"{domain!r} is not a domain name: {exc}") from exc
    if len(name) > _LONGEST or not _NAME.fullmatch(name):
        raise ValueError(f"{domain!r} is not a domain name")
    return name
