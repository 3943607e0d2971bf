"""Conversations from identifiers alone (RFC 5322, 3.6.4), independent of the order in which messages arrive.

Two messages belong together when they share an identifier: their own, or one they refer to. That is a union of sets,
so newest first, oldest first and batch by batch all end in the same conversations. Equal subjects join nobody.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime

from protocols.message.parse import MessageSummary

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

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


def thread_keys(summary: MessageSummary) -> tuple[str, ...]:
    """Return the keys that tie a message to others: hashes of its own Message-ID and of all that it refers to.

    A message that names neither has no key, and is a conversation of its own.
    """
    identifiers = dict.fromkeys((summary.message_id, *summary.in_reply_to, *summary.references))
    return tuple(map(_key, filter(None, identifiers)))


def _key(identifier: str) -> str:
    return hashlib.blake2b(identifier.encode("utf-8", "replace"), digest_size=16).hexdigest()


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


class Groups:
    """Disjoint sets of message numbers and keys (union by the smaller root, with path halving)."""

    def __init__(self, size: int = 0) -> None:
        self._parent = list(range(size))
        self._by_key: dict[str, int] = {}

    def add(self) -> int:
        """Return the number of one more message, tied to nothing yet."""
        self._parent.append(len(self._parent))
        return len(self._parent) - 1

    def tie(self, number: int, key: str) -> None:
        """Put a message with all others that are tied to `key`."""
        other = self._by_key.setdefault(key, number)
        first, second = self.root(number), self.root(other)
        if first != second:
            self._parent[max(first, second)] = min(first, second)

    def root(self, number: int) -> int:
        """Return the lowest number of the set that a message is in."""
        parent = self._parent
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def roots(self) -> dict[str, int]:
        """Return the root of each key."""
        return {key: self.root(number) for key, number in self._by_key.items()}


def thread_messages(messages: Iterable[MessageSummary]) -> list[list[str]]:
    """Group messages into threads of Message-IDs, oldest thread and oldest message first; each message once.

    Undated messages come first, in the order given. One without Message-ID is named by its place among `messages`,
    counted from 1: "no-message-id:7". Of each message only its date and its keys are kept meanwhile.
    """
    groups = Groups()
    named: list[tuple[datetime, int, str]] = []
    for summary in messages:
        number = groups.add()
        for key in thread_keys(summary):
            groups.tie(number, key)
        named.append((summary.date or _EPOCH, number, summary.message_id or f"no-message-id:{number + 1}"))
    threads: dict[int, dict[str, None]] = {}
    for _, number, name in sorted(named):
        threads.setdefault(groups.root(number), {})[name] = None
    return [list(thread) for thread in threads.values()]
