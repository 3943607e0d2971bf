"""Subjects of replies and forwarded messages: what programs of many languages put before them (RFC 5322, 3.6.5)."""

from __future__ import annotations

import re

# Prefixes that mail programs write, by language. Left out on purpose: "Ref:" and "I:", which begin ordinary subjects.
_REPLY_WORDS = (
    "re|aw|antw|antwort|sv|vs|vá|rif|r|res|odp|ynt|bls|atb|bal|отв|ответ|απ|σχετ"
    "|回复|回覆|答复|答覆|返信|회신|답장|תשובה|رد"
)
_FORWARD_WORDS = (
    "fw|fwd|wg|tr|rv|enc|doorst|vl|vb|trs|pd|fs|ilt|továbbítás|перенаправлено|пересл|προώθ"
    "|转发|轉寄|轉發|転送|전달|הועבר|إعادة توجيه"
)
_COUNT_AND_COLON = r"\s{0,3}(?:[\[(]\s{0,3}\d{1,3}\s{0,3}[\])]|\*\d{1,3}|\^\d{1,3})?\s{0,3}[:：]\s*+"
_REPLY = re.compile(f"(?:{_REPLY_WORDS}){_COUNT_AND_COLON}", re.IGNORECASE)
_FORWARD = re.compile(f"(?:{_FORWARD_WORDS}){_COUNT_AND_COLON}", re.IGNORECASE)
_PREFIX = re.compile(f"(?:{_REPLY_WORDS}|{_FORWARD_WORDS}){_COUNT_AND_COLON}", re.IGNORECASE)
_LIST_TAG = re.compile(r"\[[^\[\]]{1,60}\]\s*+")
_FORWARDED = re.compile(r"\s*\((?:fwd|fw)\)\s*$", re.IGNORECASE)
_SPACES = re.compile(r"\s+")
_MOST_PREFIXES = 100


def normalised_subject(subject: str) -> str:
    """Return the subject without reply and forward prefixes of many languages and without tags of mailing lists."""
    return _FORWARDED.sub("", _without_prefixes(subject, _PREFIX)[1]).strip()


def reply_subject(subject: str) -> str:
    """Return the subject of a reply: one "Re: " in place of all reply prefixes. Tags and forward prefixes stay."""
    tags, rest = _without_prefixes(subject, _REPLY)
    return f"Re: {tags}{rest}".rstrip()


def forward_subject(subject: str) -> str:
    """Return the subject of a forwarded message: one "Fwd: " in place of all forward prefixes. Tags and "Re:" stay."""
    tags, rest = _without_prefixes(subject, _FORWARD)
    return f"Fwd: {tags}{rest}".rstrip()


def _without_prefixes(subject: str, prefix: re.Pattern[str]) -> tuple[str, str]:
    """Return (tags of mailing lists, each once, each with a space behind it; what follows tags and prefixes)."""
    subject = _SPACES.sub(" ", subject).strip()
    position, tags = 0, dict[str, None]()
    for _ in range(_MOST_PREFIXES):
        if found := prefix.match(subject, position):
            position = found.end()
            continue
        found = _LIST_TAG.match(subject, position)
        if found is None or found.end() == len(subject):  # a subject that is only "[something]" is no tag
            break
        tags[found.group().strip() + " "] = None
        position = found.end()
    return "".join(tags), subject[position:]


def is_reply_subject(subject: str) -> bool:
    """Tell whether a subject begins with a reply or forward prefix, behind list tags too."""
    subject = subject.lstrip()
    tag = _LIST_TAG.match(subject)
    return _PREFIX.match(subject, tag.end() if tag else 0) is not None
