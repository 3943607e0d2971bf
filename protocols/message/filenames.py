"""Names of attachments made harmless: for a download, an archive member, any file system."""

from __future__ import annotations

import re
import unicodedata

_FORBIDDEN = re.compile(r'[<>:"|?*]')
_SPACES = re.compile(r"\s+")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|clock\$|com[0-9¹²³]|lpt[0-9¹²³])", re.IGNORECASE)
_LONGEST = 180
_LONGEST_EXTENSION = 16
_WINDOW = 10_000
_EXTENSIONS = {
    "message/rfc822": ".eml",
    "text/plain": ".txt",
    "text/html": ".html",
    "text/calendar": ".ics",
    "text/csv": ".csv",
    "text/vcard": ".vcf",
    "application/pdf": ".pdf",
    "application/zip": ".zip",
    "application/json": ".json",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/gif": ".gif",
    "image/webp": ".webp",
}


def safe_filename(name: str, content_type: str = "") -> str:
    """Return a file name without folders, control or direction characters, reserved names, at most 180 octets.

    An empty or unusable name becomes "attachment" with the extension that belongs to `content_type`.
    """
    name = unicodedata.normalize("NFC", name[-_WINDOW:].replace("\\", "/").rpartition("/")[2])
    name = "".join(character for character in name if unicodedata.category(character) not in _UNPRINTABLE)
    name = _SPACES.sub(" ", _FORBIDDEN.sub("_", name)).strip(" .")
    if not name.strip("_"):
        return "attachment" + _EXTENSIONS.get(content_type, "")
    if _RESERVED.fullmatch(name.partition(".")[0].rstrip()):
        name = "_" + name
    return _shortened(name)


# Cc: NUL and line breaks; Cf: direction overrides; Cs: lone surrogates; Cn, Co: shown as anything; Zl, Zp: line breaks.
_UNPRINTABLE = frozenset(("Cc", "Cf", "Cs", "Cn", "Co", "Zl", "Zp"))


def _shortened(name: str) -> str:
    """Cut the stem, never the extension: it tells what opens the file."""
    if len(name.encode()) <= _LONGEST:
        return name
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension) > _LONGEST_EXTENSION:
        stem, dot, extension = name, "", ""
    ending = f"{dot}{extension}".encode()
    return stem.encode()[: _LONGEST - len(ending)].decode("utf-8", "ignore").rstrip(" .") + ending.decode()
