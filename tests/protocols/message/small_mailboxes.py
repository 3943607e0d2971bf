"""Small mailboxes with the conversations they are, written in `conversations.txt`, as octets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.header import Header
from email.utils import format_datetime
from pathlib import Path

OWN = "me@office.example"
FIRST_DAY = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)

_LINE = re.compile(
    r"(?P<name>\w+) (?P<author>\w+) > (?P<to>[\w,]+) +@(?P<day>[\d.]+) *(?P<subject>[^<!%~]*)(?P<rest>.*)"
)


@dataclass(frozen=True)
class Letter:
    """One message. day: when it was sent, from 1. refers: names of others. marks: of "!", "%" and "~"."""

    name: str
    author: str
    to: tuple[str, ...]
    day: float
    subject: str
    refers: tuple[str, ...] = ()
    marks: str = ""

    @property
    def sent_at(self) -> datetime:
        return FIRST_DAY + timedelta(days=self.day - 1)

    @property
    def raw(self) -> bytes:
        subject = self.subject if self.subject.isascii() else Header(self.subject, "utf-8").encode()
        lines = [
            f"From: {address(self.author)}",
            f"To: {', '.join(map(address, self.to))}",
            f"Date: {format_datetime(self.sent_at)}",
            f"Subject: {subject}",
            *([] if "~" in self.marks else [f"Message-ID: <{self.name}@mail.example>"]),
            *([f"References: {' '.join(f'<{name}@mail.example>' for name in self.refers)}"] if self.refers else []),
            *(["Auto-Submitted: auto-replied"] if "!" in self.marks else []),
            *(["Precedence: bulk"] if "%" in self.marks else []),
        ]
        return "\r\n".join([*lines, "", f"Letter {self.name}.", ""]).encode()


@dataclass(frozen=True)
class SmallMailbox:
    title: str
    letters: tuple[Letter, ...]
    conversations: frozenset[frozenset[str]]


def address(name: str) -> str:
    return f"{name}@{'office.example' if name in ('me', 'info', 'boss') else 'example.com'}"


def small_mailboxes() -> list[SmallMailbox]:
    text = Path(__file__).with_name("conversations.txt").read_text(encoding="utf-8")
    return [_mailbox(block) for block in re.split(r"^## ", text, flags=re.MULTILINE)[1:]]


def _mailbox(block: str) -> SmallMailbox:
    title, *lines = block.strip().splitlines()
    told = lines.pop().removeprefix("=")
    return SmallMailbox(
        title,
        tuple(_letter(line) for line in lines),
        frozenset(frozenset(names.split()) for names in told.split("|")),
    )


def _letter(line: str) -> Letter:
    found = _LINE.fullmatch(line)
    assert found, line
    rest = found["rest"]
    return Letter(
        found["name"],
        found["author"],
        tuple(found["to"].split(",")),
        float(found["day"]),
        found["subject"].strip(),
        tuple(re.findall(r"\w+", rest)),
        "".join(mark for mark in rest if mark in "!%~"),
    )
