"""Header fields as they are written: encoded, folded, and refused where they would break out of their line.

RFC 5322, 2.2.3 (folding), RFC 2047 (encoded words), RFC 2231 (parameters), RFC 5891 (domains).
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from urllib.parse import quote as percent_encode

from protocols.message.addresses import Address
from protocols.message.domains import ascii_domain

_LINE = 76  # octets of a folded line; the limit is 78 (RFC 5322, 2.1.1)
_LONGEST_WORD = 200
_ENCODED_OCTETS = 45  # base64 of 45 octets is 60 characters, "=?utf-8?b?...?=" then 72: at most 75 are allowed
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_PRINTABLE = re.compile(r"[ -~]*")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++"
_LOCAL_PART = re.compile(rf"{_ATOM}(?:\.{_ATOM})*+|\"(?:[ !#-\[\]-~]|\\[ -~])*+\"")
_MESSAGE_ID = re.compile(r"[!-;=?-~]{1,900}")
_URI = re.compile(r"(?:https://|mailto:)[!#-;=?-\[\]_a-z~%]{1,800}")
_TOKEN = re.compile(r"[A-Za-z0-9!#$&+.^_`{|}~-]+")
_LONGEST_LOCAL_PART = 64


class UnwritableField(ValueError):
    """A value cannot stand in a header field.

    field: the name of the field, such as "Subject"; the message names it too.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field


class HeaderInjection(UnwritableField):
    """A value holds a line break or another control character, which could begin a field of its own."""


def checked(field: str, value: str) -> str:
    """Return `value`, tabs as spaces; raises HeaderInjection when it holds any other control character."""
    value = value.replace("\t", " ")
    if _CONTROLS.search(value):
        raise HeaderInjection(field, "line breaks and control characters are not allowed here")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise UnwritableField(field, "holds half a character (a lone surrogate)") from exc
    return value


def text_field(name: str, value: str) -> str:
    """Return an unstructured field such as Subject, ready to be written, with its line end."""
    value = checked(name, value).strip()
    return f"{name}: {_folded(_text_words(value), len(name) + 2)}\r\n"


def address_field(name: str, addresses: Iterable[Address]) -> str:
    """Return a field with a list of addresses, ready to be written. Raises UnwritableField for one without a domain."""
    words: list[str] = []
    for address in addresses:
        words += _mailbox_words(name, address)
        words[-1] += ","
    if words:
        words[-1] = words[-1][:-1]
    return f"{name}: {_folded(words, len(name) + 2)}\r\n"


def identifier_field(name: str, identifiers: Iterable[str]) -> str:
    """Return Message-ID, In-Reply-To or References; "" when no identifier is left.

    Identifiers come from other people's messages: one that cannot be written is left out.
    """
    words = [f"<{identifier}>" for identifier in identifiers if _MESSAGE_ID.fullmatch(identifier)]
    return f"{name}: {_folded(words, len(name) + 2)}\r\n" if words else ""


def uri_field(name: str, uris: Iterable[str]) -> str:
    """Return a field of URIs in angle brackets (RFC 2369, 2). Raises UnwritableField for a bad one."""
    words: list[str] = []
    for uri in uris:
        if not _URI.fullmatch(checked(name, uri)):
            raise UnwritableField(name, f"“{uri[:100]}” is not an address that starts with https:// or mailto:")
        words.append(f"<{uri}>,")
    words[-1] = words[-1][:-1]
    return f"{name}: {_folded(words, len(name) + 2)}\r\n"


def parameter(name: str, value: str) -> str:
    """Return a parameter with what stands before it (";" and a fold); RFC 2231 where it is long or not ASCII."""
    if _TOKEN.fullmatch(value) and len(value) <= _LINE - len(name) - 4:
        return f";\r\n {name}={value}"
    if _PRINTABLE.fullmatch(value) and len(value) <= _LINE - len(name) - 8 and "=?" not in value:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f';\r\n {name}="{escaped}"'
    encoded = percent_encode(value, safe="!#$&+^`{|}")
    if len(encoded) <= _LINE - len(name) - 14:
        return f";\r\n {name}*=utf-8''{encoded}"
    pieces = re.findall(r"(?:%[0-9A-F]{2}|[^%]){1,18}", "utf-8''" + encoded)
    return "".join(f";\r\n {name}*{number}*={piece}" for number, piece in enumerate(pieces))


def ascii_address(field: str, address: str) -> str:
    """Return the addr-spec with its domain in A-labels. Raises UnwritableField when it is none we can write."""
    address = checked(field, address).strip()
    local, at, domain = address.rpartition("@")
    if not at:
        raise UnwritableField(field, f"{address!r} has no domain; write it as name@example.org")
    if not local.isascii():
        raise UnwritableField(field, f"{address!r} has letters before the @ that most mail servers refuse")
    if not _LOCAL_PART.fullmatch(local) or len(local) > _LONGEST_LOCAL_PART:
        raise UnwritableField(field, f"{address!r} is not an email address")
    try:
        return f"{local}@{ascii_domain(domain)}"
    except ValueError as exc:
        raise UnwritableField(field, str(exc)) from exc


def _mailbox_words(field: str, address: Address) -> list[str]:
    spec = ascii_address(field, address.address)
    name = checked(field, address.name).strip()
    if not name:
        return [spec]
    if not _PRINTABLE.fullmatch(name) or "=?" in name or len(name) > _LONGEST_WORD:
        return [*_encoded_words(name), f"<{spec}>"]
    if _ATOMS.fullmatch(name) and "  " not in name:
        return [*name.split(" "), f"<{spec}>"]
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return [f'"{escaped}"', f"<{spec}>"]


def _text_words(value: str) -> list[str]:
    words = value.split(" ")
    plain = _PRINTABLE.fullmatch(value) and "=?" not in value and "" not in words
    return words if plain and max(map(len, words)) <= _LONGEST_WORD else _encoded_words(value)


def _encoded_words(value: str) -> list[str]:
    """Return RFC 2047 words in UTF-8, none of which splits a character."""
    if not value:
        return []
    words: list[str] = []
    octets = value.encode()
    start = 0
    while start < len(octets):
        end = min(len(octets), start + _ENCODED_OCTETS)
        while end < len(octets) and octets[end] & 0xC0 == 0x80:
            end -= 1
        words.append(f"=?utf-8?b?{b64encode(octets[start:end]).decode()}?=")
        start = end
    return words


def _folded(words: Iterable[str], column: int) -> str:
    """Join words by spaces, with a line break before a word that would pass the end of the line."""
    line: list[str] = []
    for word in words:
        if line and column + 1 + len(word) > _LINE:
            line.append("\r\n ")
            column = 1
        elif line:
            line.append(" ")
            column += 1
        line.append(word)
        column += len(word)
    return "".join(line)
