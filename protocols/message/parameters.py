"""Content-Type and Content-Disposition with their parameters (RFC 2045, 5.1; RFC 2183; RFC 2231)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import unquote_to_bytes

from protocols.message.charsets import decode_header_octets, decode_text
from protocols.message.headers import clean, decode_words, unfold

TypedValue = tuple[str, Mapping[str, str]]

_PARAMETER = re.compile(r';\s*+([^\s=;"]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"?+[^;]*+|([^;]*+))', re.DOTALL)
_MEDIA_TYPE = re.compile(r"\s*+([a-z0-9!#$&^_.+-]{1,127})\s*+/\s*+([a-z0-9!#$&^_.+-]{1,127})")
_CONTINUATION = re.compile(r"([^*]+)\*(\d{1,3})?(\*)?")
_ESCAPED_QUOTE = re.compile(r'\\(["\\])')
_TOKEN_END = re.compile(r"[\s(,]")
_MOST_PARAMETERS = 200
_CACHED = 200  # octets; the caches stay small whatever arrives
_NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})


def parse_content_type(value: bytes) -> TypedValue:
    """Return (lower-case "type/subtype", parameters); ("", {}) where the field cannot be understood."""
    return _cached_content_type(value) if len(value) <= _CACHED else _content_type(value)


def parse_disposition(value: bytes) -> TypedValue:
    """Return (lower-case disposition, parameters), e.g. ("attachment", {"filename": "a.pdf"})."""
    return _cached_disposition(value) if len(value) <= _CACHED else _disposition(value)


def _content_type(value: bytes) -> TypedValue:
    text = _text(value)
    found = _MEDIA_TYPE.match(text.lower())
    if not found:
        return "", parse_parameters(text) if ";" in text else _NO_PARAMETERS
    media_type = f"{found.group(1)}/{found.group(2)}"
    return media_type, parse_parameters(text) if ";" in text else _NO_PARAMETERS


def _disposition(value: bytes) -> TypedValue:
    text = _text(value)
    kind = _TOKEN_END.split(text.partition(";")[0].strip().lower(), maxsplit=1)[0]
    return clean(kind)[:40], parse_parameters(text) if ";" in text else _NO_PARAMETERS


_cached_content_type = lru_cache(maxsize=1024)(_content_type)
_cached_disposition = lru_cache(maxsize=1024)(_disposition)


def parse_parameters(text: str) -> Mapping[str, str]:
    """Return lower-case names and decoded values of the parameters after the first semicolon.

    RFC 2231 sections and charsets are joined and decoded; RFC 2047 encoded words, which the RFC forbids here and many
    writers use, are decoded too. The first of two values wins, the extended one over the plain one.
    """
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[str, bool]]] = {}
    for number, found in enumerate(_PARAMETER.finditer(text)):
        if number >= _MOST_PARAMETERS:
            break
        name, quoted, bare = found.groups()
        value = quoted if quoted is not None else bare.strip()
        if quoted is not None and "\\" in quoted:
            value = _ESCAPED_QUOTE.sub(r"\1", quoted)
        name = name.lower()
        extended = _CONTINUATION.fullmatch(name) if "*" in name else None
        if extended is None:
            plain.setdefault(name, value)
        else:
            base, section, encoded = extended.groups()
            is_encoded = bool(encoded) or section is None
            sections.setdefault(base, {}).setdefault(int(section or 0), (value, is_encoded))
    values = {name: clean(decode_words(value)) if "=?" in value else _cleaned(value) for name, value in plain.items()}
    if sections:
        values.update((name, _join(parts)) for name, parts in sections.items())
    return MappingProxyType(values)


def parameter_token(value: str) -> str:
    """Return a parameter that is a token (a charset, an encoding) without the comments some writers append."""
    return value if value.isalnum() else _TOKEN_END.split(value.strip(), maxsplit=1)[0]


def _join(parts: dict[int, tuple[str, bool]]) -> str:
    """Join the sections of one RFC 2231 parameter in order, up to the first gap."""
    octets: list[bytes] = []
    charset = ""
    number = 0 if 0 in parts else 1  # some writers count from 1
    while number in parts:
        value, is_encoded = parts[number]
        if is_encoded and not octets and value.count("'") >= 2:
            charset, _, value = value.split("'", 2)
        octets.append(unquote_to_bytes(value) if is_encoded else value.encode("utf-8", "replace"))
        number += 1
    joined = b"".join(octets)
    text = decode_text(joined, charset)
    return clean(decode_words(text) if "=?" in text else text)


def _text(value: bytes) -> str:
    return decode_header_octets(unfold(value))


def _cleaned(value: str) -> str:
    # A boundary may hold two spaces in a row: only what cannot be printed goes.
    return value if value.isprintable() else clean(value)
