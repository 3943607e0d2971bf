"""Conversations from identifiers alone (RFC 5322, 3.6.4), independent of the order in which messages arrive.

Two messages belong together when they share an identifier: their own, or one they refer to. That is a union of sets,
so newest first, oldest first and batch by batch all end in the same conversations. Equal subjects join nobody.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from protocols.message.parse import MessageSummary

_LONGEST_KEY = 250
_MOST_KEYS = 50
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
    """Return the keys that tie a message to others: its own first, then those it refers to, each once.

    Keys are Message-IDs; one longer than 250 characters is replaced by its hash. A message without Message-ID gets a
    synthetic key from what it says, the same for every copy of it. Of very long References the first and the newest
    are taken.
    """
    own = _key(summary.message_id) if summary.message_id else _synthetic(summary)
    linked = (*summary.references, *summary.in_reply_to)
    if len(linked) >= _MOST_KEYS:
        linked = (linked[0], *linked[2 - _MOST_KEYS :])
    return tuple(dict.fromkeys((own, *(_key(identifier) for identifier in linked))))


def _key(identifier: str) -> str:
    if len(identifier) <= _LONGEST_KEY:
        return identifier
    return "sha256:" + hashlib.sha256(identifier.encode("utf-8", "replace")).hexdigest()


def _synthetic(summary: MessageSummary) -> str:
    digest = hashlib.sha256()
    sender = summary.from_.address if summary.from_ is not None else ""
    date = summary.date.isoformat() if summary.date is not None else ""
    recipients = (address.address for address in (*summary.to, *summary.cc))
    for piece in (sender, date, summary.subject, summary.text, *recipients):
        digest.update(piece.encode("utf-8", "replace") + b"\0")
    return f"no-message-id:{digest.hexdigest()}"


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


@dataclass(frozen=True, slots=True)
class Joined:
    """Where the messages of a batch belong.

    conversations: one for each message of the batch, in its order: the number of a stored conversation, or a negative
                   number for a new one (-1, -2, ... in the order they appear).
    keys:          key -> conversation, only for keys that are new or whose conversation changed.
    merged:        stored conversation that is absorbed -> stored conversation that stays (the lowest number).
    """

    conversations: tuple[int, ...]
    keys: dict[str, int] = field(default_factory=dict)
    merged: dict[int, int] = field(default_factory=dict)


def join(existing: Mapping[str, int], batch: Sequence[Sequence[str]]) -> Joined:
    """Join a batch of messages, each given by its `thread_keys`, to the stored conversations.

    existing: key -> conversation, for at least those keys of the batch that are stored. Pure; the caller writes the
    new keys, moves the messages of the merged conversations, and gives numbers to the new ones.
    """
    sets = _DisjointSets()
    for keys in batch:
        for key in keys:
            sets.union(keys[0], key)
    stored: dict[str, set[int]] = {}
    first_key: dict[int, str] = {}
    for key in list(sets.parent):
        conversation = existing.get(key)
        if conversation is not None:
            sets.union(first_key.setdefault(conversation, key), key)
    for conversation, key in first_key.items():
        stored.setdefault(sets.find(key), set()).add(conversation)
    numbers = {root: min(conversations) for root, conversations in stored.items()}
    assigned: list[int] = []
    new = 0
    for keys in batch:
        root = sets.find(keys[0])
        if root not in numbers:
            new -= 1
            numbers[root] = new
        assigned.append(numbers[root])
    keys_now = {key: numbers[sets.find(key)] for key in sets.parent}
    return Joined(
        conversations=tuple(assigned),
        keys={key: number for key, number in keys_now.items() if existing.get(key) != number},
        merged={
            old: numbers[root]
            for root, conversations in stored.items()
            for old in sorted(conversations)
            if old != numbers[root]
        },
    )


def thread_messages(messages: Iterable[MessageSummary], *, by_subject: bool = False) -> list[list[str]]:
    """Group messages into threads of Message-IDs, oldest thread and oldest message first; each message once.

    A message without Message-ID is named by its synthetic key. Undated messages come first, in the order given.
    by_subject: let a message with a reply prefix but without any reference join the thread with the same subject that
                holds a message from or to one of its correspondents.
    """
    ordered = sorted(messages, key=lambda summary: summary.date or _EPOCH)
    keyed = [(thread_keys(summary), summary) for summary in ordered]
    sets = _DisjointSets()
    for keys, _ in keyed:
        for key in keys:
            sets.union(keys[0], key)
    if by_subject:
        _union_by_subject(sets, keyed)
    threads: dict[str, dict[str, None]] = {}
    for keys, _ in keyed:
        threads.setdefault(sets.find(keys[0]), {})[keys[0]] = None
    return [list(thread) for thread in threads.values()]


def _union_by_subject(sets: _DisjointSets, keyed: list[tuple[tuple[str, ...], MessageSummary]]) -> None:
    latest: dict[tuple[str, str], str] = {}
    for keys, summary in keyed:
        subject = normalised_subject(summary.subject).casefold()
        people = {address.address.lower() for address in (*summary.to, *summary.cc, summary.from_) if address}
        if subject and len(keys) == 1 and is_reply_subject(summary.subject):
            earlier = next((latest[subject, person] for person in sorted(people) if (subject, person) in latest), None)
            if earlier is not None:
                sets.union(earlier, keys[0])
        latest.update(((subject, person), keys[0]) for person in people)


class _DisjointSets:
    """Union-find over keys; `parent` holds every key that was seen, in order."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}

    def find(self, key: str) -> str:
        parent = self.parent
        root = key
        while parent.setdefault(root, root) != root:
            root = parent[root]
        while parent[key] != root:
            parent[key], key = root, parent[key]
        return root

    def union(self, first: str, second: str) -> None:
        root, other = self.find(first), self.find(second)
        if root != other:
            self.parent[other] = root
