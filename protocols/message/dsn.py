"""Delivery status notifications: the fields of their machine-readable part (RFC 3464, RFC 6533)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from protocols.message.reports import Action

MOST_RECIPIENTS: Final = 1_000
_MOST_LINES: Final = 50_000
_LONGEST_VALUE: Final = 8_000  # characters of one field, unfolded
_FIELD = re.compile(r"([!-9;-~]{1,60}+)[ \t]*+:(.*+)")
_ADDRESS = re.compile(r"[<\s]*((?:\"[^\"]{1,200}+\"|[^\s<>\"(),;@]{1,200}+)@[^\s<>\"(),;]{1,300})")
_XTEXT = re.compile(r"\+([0-9A-F]{2})")  # RFC 3461, 4
_UTF8_CHARACTER = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")  # RFC 6533, 3
_WORD = re.compile(r"[A-Za-z-]{1,20}")
_COMMENT = re.compile(r"\([^()]*+\)")
_ACTIONS: Final = {action.value: action for action in Action if action.value}
# Words that stand where an action should; "expired" is what the delay ended in.
_ACTIONS_ELSEWHERE: Final = {
    "fail": Action.FAILED,
    "failure": Action.FAILED,
    "expired": Action.FAILED,
    "delay": Action.DELAYED,
}

Fields = dict[str, str]


@dataclass(frozen=True, slots=True)
class DeliveryStatus:
    """One group of per-recipient fields (RFC 3464, 2.3).

    address: of Original-Recipient where it is a mail address, otherwise of Final-Recipient; "" where neither is one.
    action:  None where the field is missing or unreadable.
    status:  the field as it stands, comments too.
    """

    address: str
    final: str
    action: Action | None
    status: str
    diagnostic: str
    remote_host: str


@dataclass(frozen=True, slots=True)
class DeliveryStatuses:
    """The whole part.

    envelope_id: ENVID of the submission (RFC 3461, 4.4), "" for none.
    message_id:  of the original, with angle brackets, where the reporter adds it, as Gmail does; "" elsewhere.
    """

    recipients: tuple[DeliveryStatus, ...]
    envelope_id: str = ""
    message_id: str = ""


def read_statuses(text: str) -> DeliveryStatuses:
    """Read the content of a message/delivery-status part, decoded. Linear, never raises."""
    head: Fields = {}
    recipients: list[DeliveryStatus] = []
    for group in field_groups(text, begins=("final-recipient", "original-recipient")):
        if "final-recipient" in group or "original-recipient" in group:
            recipients.append(_recipient(group))
            if len(recipients) >= MOST_RECIPIENTS:
                break
        for name, value in group.items():
            head.setdefault(name, value)
    return DeliveryStatuses(
        tuple(recipients), _unquoted(head.get("original-envelope-id", "")), head.get("x-original-message-id", "")
    )


def field_groups(text: str, begins: tuple[str, ...] = ()) -> Iterator[Fields]:
    """Yield groups of fields that are separated by empty lines, names in lower case, the first value of each.

    begins: names that begin a group even where the empty line is missing, if the group has that field already.
    """
    group: Fields = {}
    name = ""
    for line in _lines(text):
        if not line.strip():
            if group:
                yield group
            group, name = {}, ""
        elif line[0] in " \t":
            if name and len(group[name]) < _LONGEST_VALUE:
                group[name] = f"{group[name]} {line.strip()[:_LONGEST_VALUE]}"
        elif found := _FIELD.match(line):
            field = found[1].lower()
            if field in begins and field in group:
                yield group
                group = {}
            name = "" if field in group else field
            group.setdefault(field, found[2].strip()[:_LONGEST_VALUE])
    if group:
        yield group


def _lines(text: str) -> Iterator[str]:
    position = 0
    for _ in range(_MOST_LINES):
        if position >= len(text):
            return
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        yield text[position:end]
        position = end + 1


def _recipient(group: Fields) -> DeliveryStatus:
    final = mail_address(group.get("final-recipient", ""))
    original = mail_address(group.get("original-recipient", ""))
    return DeliveryStatus(
        address=original or final,
        final=final,
        action=_action(group.get("action", "")),
        status=group.get("status", ""),
        diagnostic=_diagnostic(group.get("diagnostic-code", "")),
        remote_host=_typed(group.get("remote-mta", "")),
    )


def _action(value: str) -> Action | None:
    found = _WORD.match(value.lstrip())
    word = found[0].lower() if found else ""
    return _ACTIONS.get(word) or _ACTIONS_ELSEWHERE.get(word)


def mail_address(value: str) -> str:
    """Return the address of a typed field such as "rfc822;bob@example.org"; "" where it holds none."""
    kind, separator, rest = value.partition(";")
    if not separator:
        kind, rest = "", value
    if kind.strip().lower() == "utf-8":
        rest = _UTF8_CHARACTER.sub(lambda found: _character(found[1]), rest)
    if "@" not in rest:
        rest = _XTEXT.sub(lambda found: chr(int(found[1], 16)), rest)
    found = _ADDRESS.match(rest.strip()[:1_000])
    return found[1].rstrip(".") if found else ""


def _character(digits: str) -> str:
    number = int(digits, 16)
    return chr(number) if 0x20 < number < 0x110000 and not 0xD800 <= number < 0xE000 else ""


def _diagnostic(value: str) -> str:
    kind, separator, rest = value.partition(";")
    return rest.strip() if separator and len(kind) <= 20 and " " not in kind.strip() else value


def _typed(value: str) -> str:
    """Return the host of a typed field such as "dns; mx.example.org (192.0.2.1)"."""
    words = _COMMENT.sub("", value.partition(";")[2] or value).split()
    return words[0][:255] if words else ""


def _unquoted(value: str) -> str:
    return (value.partition(";")[2] or value).strip().strip("<>")[:1_000]
