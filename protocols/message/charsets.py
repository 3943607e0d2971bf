"""Octets to text, whatever the label says.

The ladder: the declared charset, UTF-8, a guess from a bounded sample, Latin-1. Every rung gives text that can be
stored anywhere: no NUL, no lone surrogates.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

# Labels seen in real mail that Python does not know, or where a superset reads more (as browsers do).
_ALIASES = {
    "ansi_x3.4-1968": "ascii",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "iso_8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "iso-8859-9": "cp1254",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "iso-8859-6-i": "iso-8859-6",
    "iso-8859-6-e": "iso-8859-6",
    "tis-620": "cp874",
    "windows-874": "cp874",
    "x-windows-949": "cp949",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "ksc5601": "cp949",
    "euc-kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "gb_2312-80": "gb18030",
    "big5": "big5hkscs",
    "x-big5": "big5hkscs",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "windows-31j": "cp932",
    "cp-850": "cp850",
    "x-mac-roman": "mac-roman",
    "macintosh": "mac-roman",
    "x-mac-cyrillic": "mac-cyrillic",
    "unicode-1-1-utf-7": "utf-7",
    "utf8mb4": "utf-8",
    "utf-8mb4": "utf-8",
    "unicode": "utf-16",
}
# Codecs of Python that are no charsets, or take quadratic time on hostile input.
_REFUSED = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem", "palmos"}
# Escapes in 7-bit octets: being ASCII says nothing about the text.
_SEVEN_BIT = ("iso2022", "utf-7", "hz", "utf-16", "utf-32", "cp037", "cp273", "cp424", "cp500", "cp1026", "cp1140")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,39}")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_SAMPLE = 4096
_TOLERATED = 0.02  # of the characters may be broken
_FOREIGN = 0.2  # of the octets are not ASCII: a script of its own
_FEWEST = 12  # octets that are not ASCII: fewer tell nothing
_ASCII = bytes(range(128))


@lru_cache(maxsize=512)
def codec_for(label: str) -> str | None:
    """Return the name of Python's codec for a charset label of a message; None when there is none to trust."""
    label = label.strip().strip("\"'").lower()
    label = _ALIASES.get(label, label)
    if not _LABEL.fullmatch(label):
        return None
    try:
        info = codecs.lookup(label)
        "".encode(label)  # refuses rot13, base64 and the other codecs that are no charsets
    except (LookupError, ValueError, UnicodeError, TypeError):
        return None
    return None if info.name.replace("-", "_") in _REFUSED else info.name


def decode_text(data: bytes, label: str = "", *, truncated: bool = False) -> str:
    """Decode `data`, declared to be in charset `label` ("" when nothing was declared). Never raises.

    truncated: `data` was cut by us, so that an unfinished character at its end is no sign of a wrong label.
    """
    codec = codec_for(label) if label else None
    if data.isascii() and (codec is None or not codec.startswith(_SEVEN_BIT)):
        return _storable(data.decode("ascii"))
    candidates = ("utf-8",) if codec in (None, "utf-8") else (codec, "utf-8")
    for candidate in candidates:
        text = _strictly(data, candidate, truncated=truncated)
        if text is not None:
            return _storable(text)
    for candidate in candidates:
        text = data.decode(candidate, "replace")
        wrong = text.count("\ufffd")
        # A few broken characters among many right ones: the label is true, the text was damaged on its way.
        if wrong <= max(2, len(text) * _TOLERATED) and len(_NOT_ASCII.findall(text)) >= 2 * wrong:
            return _storable(text)
    guess = _guess(data)
    return _storable(data.decode(guess, "replace") if guess else _latin(data))


def decode_header_octets(data: bytes, label: str = "") -> str:
    """Decode the octets of a header field: ASCII, else UTF-8 (RFC 6532), else the charset of the body, else Latin-1."""
    if data.isascii():
        return data.decode("ascii")
    for candidate in ("utf-8", codec_for(label) if label else None):
        text = _strictly(data, candidate) if candidate else None
        if text is not None:
            return _storable(text)
    return _latin(data)


def _strictly(data: bytes, codec: str, *, truncated: bool = False) -> str | None:
    try:
        return codecs.getincrementaldecoder(codec)().decode(data, not truncated)
    except (UnicodeError, ValueError, LookupError):
        return None


def _guess(data: bytes) -> str | None:
    """Ask charset-normalizer about a bounded sample around the first octets that are not ASCII.

    It is unsure where only a few letters are not ASCII: such text is most likely Western, and None is returned.
    """
    first = next((at for at in range(0, len(data), _SAMPLE) if not data[at : at + _SAMPLE].isascii()), 0)
    sample = data[first : first + _SAMPLE]
    if len(sample.translate(None, _ASCII)) < max(_FEWEST, len(sample) * _FOREIGN):
        return None
    from charset_normalizer import from_bytes  # costs 30 ms to import, rarely needed

    best = from_bytes(sample).best()
    return codec_for(best.encoding) if best is not None else None


def _latin(data: bytes) -> str:
    return _strictly(data, "cp1252") or data.decode("latin-1")


def _storable(text: str) -> str:
    if "\0" in text:
        text = text.replace("\0", "")
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)
