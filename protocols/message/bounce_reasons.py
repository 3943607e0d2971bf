"""From the words of a server to a verdict: enhanced status code first, then its text, then the SMTP reply code.

The rules are data, in `bounce_reasons.toml`. A verdict is hard only on clear evidence: where two signs disagree, or a
code is transient, it is soft. A wrong "soft" costs one more try, a wrong "hard" cuts somebody off.
"""

from __future__ import annotations

import re
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from protocols.message.reports import Action, Kind, Reason

LONGEST_DIAGNOSTIC: Final = 1_000  # characters

_SPACES = re.compile(r"\s+")
_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?!\.?\d)")
_REPLY_AND_STATUS = re.compile(r"(?<![\d.])[245]\d\d[ :,#-]{1,4}([245]\.\d{1,3}\.\d{1,3})(?!\.?\d)")
_REPLY = re.compile(r"(?<![\d.@/:-])([45][0-5]\d)(?=[\s:;,#-]|$)")
# Names of mailboxes and hosts are no words of the server: "spam@example.org" has nothing to do with spam.
_NAMES = re.compile(r"[^\s<>()\[\]:;,=]{1,100}@[^\s<>()\[\]:;,]+|(?<=\bhost )[^\s\[]{1,100}\.[^\s\[]+", re.IGNORECASE)
_VAGUE: Final = frozenset(("0.0", "5.0"))
_HARD: Final = frozenset((Reason.USER_UNKNOWN, Reason.HOST_UNKNOWN, Reason.HAS_MOVED, Reason.NOT_ACCEPT))
_DISABLED: Final = "2.1"  # "disabled, not accepting messages": for a while or for good (RFC 3463, 3.3)


class Verdict(NamedTuple):
    """status and reply_code are "" where neither the report nor the reason knows any."""

    kind: Kind
    reason: Reason
    status: str
    reply_code: str


class _Rules(NamedTuple):
    certain: dict[str, Reason]
    likely: dict[str, Reason]
    replies: dict[str, Reason]
    statuses: dict[Reason, str]
    texts: list[tuple[Reason, re.Pattern[str]]]
    nobody_at_rcpt: re.Pattern[str]
    commands: dict[str, re.Pattern[str]]


def any_of(patterns: list[str]) -> re.Pattern[str]:
    """Return a pattern that matches where one of `patterns` does, whatever the case."""
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE)


def _read() -> _Rules:
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return _Rules(
        certain={code: Reason(name) for code, name in table["certain_codes"].items()},
        likely={code: Reason(name) for code, name in table["likely_codes"].items()},
        replies={code: Reason(name) for code, name in table["reply_codes"].items()},
        statuses={Reason(name): code for name, code in table["statuses"].items()},
        texts=[(Reason(entry["reason"]), any_of(entry["patterns"])) for entry in table["texts"]],
        nobody_at_rcpt=any_of(table["nobody_at_rcpt"]),
        commands={name: any_of(patterns) for name, patterns in table["commands"].items()},
    )


_RULES: Final = _read()


def one_line(text: str) -> str:
    """Return a diagnostic on one line, at most `LONGEST_DIAGNOSTIC` characters long."""
    return _SPACES.sub(" ", text[: 4 * LONGEST_DIAGNOSTIC]).strip()[:LONGEST_DIAGNOSTIC]


@lru_cache(maxsize=64)  # a report on many recipients says the same of most
def judge(action: Action, status: str, diagnostic: str, command: str = "") -> Verdict:
    """Return why a message did not arrive, and whether a later one would.

    status:  as a Status field has it, "" for none. The more telling code of the diagnostic wins over a vague one.
    command: what the server answered: "RCPT", "DATA" ...; "" looks for it in the diagnostic.
    """
    if action in (Action.DELIVERED, Action.RELAYED, Action.EXPANDED):
        return Verdict(Kind.NONE, Reason.DELIVERED, status, "")
    text = one_line(diagnostic)
    stated = _telling_status(status, text)
    replied = _REPLY.search(text)
    reply_code = replied[1] if replied else ""
    reason = _reason(stated, reply_code, text, command or command_of(text))
    if reason == Reason.UNDEFINED and action == Action.DELAYED:
        reason = Reason.EXPIRED
    digit = "4" if action == Action.DELAYED else (stated or reply_code or "5")[0]
    kind = Kind.HARD if reason in _HARD and digit == "5" else Kind.SOFT
    return Verdict(kind, reason, stated or f"{digit}.{_RULES.statuses.get(reason, '0.0')}", reply_code)


@lru_cache(maxsize=64)
def has_evidence(text: str) -> bool:
    """Tell whether a text holds a code or a phrase of the table."""
    text = one_line(text)
    if not text:
        return False
    return bool(_STATUS.search(text) or _REPLY.search(text) or any(each.search(text) for _, each in _RULES.texts))


def command_of(text: str) -> str:
    """Return the SMTP command that the server answered, as the report tells it: "RCPT", "DATA", "MAIL", or ""."""
    return next((name for name, pattern in _RULES.commands.items() if pattern.search(text)), "")


def status_in(text: str) -> str:
    """Return the enhanced status code of a text, rather the one behind a reply code; "" when there is none."""
    found = _REPLY_AND_STATUS.search(text)
    if found:
        return found[1]
    alone = _STATUS.search(text)
    return alone[0] if alone else ""


def _telling_status(status: str, text: str) -> str:
    found = _STATUS.search(status[:100])
    stated = found[0] if found else ""
    if stated and stated[2:] not in _VAGUE:
        return stated
    return status_in(text) or stated


def _reason(status: str, reply_code: str, text: str, command: str) -> Reason:
    detail = status[2:]
    said = _said(detail, text, command)
    certain = _RULES.certain.get(detail)
    if certain is not None and said != Reason.MAILBOX_FULL:  # some servers put every refusal under 5.1.1
        return certain
    if said is not None:
        return said
    if certain is None and detail in _RULES.likely:
        return _RULES.likely[detail]
    return _RULES.replies.get(reply_code, Reason.UNDEFINED)


def _said(detail: str, text: str, command: str) -> Reason | None:
    """Return the reason that the words give.

    "User unknown" counts where the server answered RCPT, or nothing else is known. After the data, or with the code of
    a disabled mailbox, it is what filters say that do not want to tell.
    """
    words = _NAMES.sub("x", text)
    said = next((reason for reason, pattern in _RULES.texts if pattern.search(words)), None)
    if said == Reason.USER_UNKNOWN and (command == "DATA" or (detail == _DISABLED and command != "RCPT")):
        return Reason.FILTERED
    if said == Reason.FILTERED and command == "RCPT" and _RULES.nobody_at_rcpt.search(text):
        return Reason.USER_UNKNOWN
    return said
