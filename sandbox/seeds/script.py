"""Reads the letters written by hand in letters/*.txt.

    # SUBJECT                               begins a conversation
    ; file alice=Projects/2026              where alice keeps her copies of it
    @ 41d 09:12 | alice > ingrid / bob      a letter: when, from > to / cc; the others of the conversation follow
    @ +5h | ingrid > alice | quote          after the one before, which it answers and quotes

When: "41d 09:12" days ago at that time (UTC), "95m", "3h" ago, or "+1d 2h" after the letter before.
Options, after a second bar or on a line of their own that begins with a bar: quote, html, flag, unread, draft,
attach:NAME, charset:NAME, re:AW (the reply prefix), list:bob (came through a mailing list that bob reads).
In the text {+3d} is the date three days after the conversation began, so that all of its letters mean the same day.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from typing import Final

from sandbox.seeds.cast import CAST, Contact
from sandbox.seeds.letter import UTF8, Attachment, Letter
from sandbox.seeds.media import attachment

_FOLDER: Final = Path(__file__).parent / "letters"
_SPAN: Final = re.compile(r"(\d+)([dhm])")
_DATE: Final = re.compile(r"\{\+(\d+)d\}")
_SECONDS: Final = {"d": 86400, "h": 3600, "m": 60}
_LIST: Final = "lists.truespoke.example"


class BadScript(Exception):
    """A letter file does not follow the form; the message names file and line."""


@dataclass(slots=True)
class _Sheet:
    """One letter as it stands in the file."""

    when: str
    who: str
    options: list[str]
    lines: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Conversation:
    subject: str
    folders: dict[str, str] = field(default_factory=dict)
    sheets: list[_Sheet] = field(default_factory=list)


def letters_written_by_hand(now: int) -> list[Letter]:
    """All letters of all files; `now` is Unix time. Raises BadScript."""
    return [
        letter
        for path in sorted(_FOLDER.glob("*.txt"))
        for conversation in _read(path)
        for letter in _enact(conversation, now)
    ]


def _read(path: Path) -> list[_Conversation]:
    conversations: list[_Conversation] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            if line.startswith("# "):
                conversations.append(_Conversation(line[2:]))
            elif line.startswith("; file "):
                for pair in line[7:].split():
                    key, name = pair.split("=")
                    conversations[-1].folders[key] = name
            elif line.startswith("@ "):
                when, who, *options = (part.strip() for part in line[2:].split("|"))
                conversations[-1].sheets.append(_Sheet(when, who, _options(*options)))
            elif line.startswith("| "):
                conversations[-1].sheets[-1].options += _options(line[2:])
            elif conversations and conversations[-1].sheets:
                conversations[-1].sheets[-1].lines.append(line)
        except (ValueError, IndexError) as exc:
            raise BadScript(f"{path.name}, line {number}: {line!r} is not understood.") from exc
    return conversations


def _options(text: str = "") -> list[str]:
    return [option.strip() for option in text.split(",") if option.strip()]


def _enact(conversation: _Conversation, now: int) -> list[Letter]:
    letters: list[Letter] = []
    for sheet in conversation.sheets:
        letters.append(_letter(conversation, sheet, letters[-1] if letters else None, now))
    return letters


def _letter(conversation: _Conversation, sheet: _Sheet, parent: Letter | None, now: int) -> Letter:
    values = {key: value for key, _, value in (option.partition(":") for option in sheet.options)}
    sender_key, _, others = (part.strip() for part in sheet.who.partition(">"))
    to, _, cc = others.partition("/")
    sender = CAST[sender_key]
    letter = Letter(
        at=_moment(sheet.when, parent, now),
        sender=sender,
        to=_contacts(to),
        cc=_contacts(cc),
        subject=f"{values.get('re', 'Re')}: {conversation.subject}" if parent else conversation.subject,
        text="",
        charset=values.get("charset", UTF8),
        parent=parent,
        attachments=tuple(_attachments(sheet.options)),
        headers=_list_fields() if "list" in values else (),
        readers=(values["list"],) if "list" in values else (),
        folders=dict(conversation.folders),
        unread="unread" in values,
        flagged="flag" in values,
        draft="draft" in values,
    )
    began_at = letter.ancestors[0].at if letter.ancestors else letter.at
    own_words = _DATE.sub(lambda match: _date(began_at, int(match[1])), "\n".join(sheet.lines).strip())
    signed = own_words if _among_ourselves(letter) or letter.draft or not sender.signature else _sign(letter, own_words)
    letter.text = signed
    if parent and "quote" in values:
        letter.text = f"{signed}\n\n{_quotation(parent)}"
    if "html" in values:
        letter.html = _html(signed, parent if "quote" in values else None)
    return letter


def _contacts(keys: str) -> tuple[Contact, ...]:
    return tuple(CAST[key.strip()] for key in keys.split(",") if key.strip())


def _attachments(options: list[str]) -> list[Attachment]:
    return [attachment(option.removeprefix("attach:")) for option in options if option.startswith("attach:")]


def _moment(when: str, parent: Letter | None, now: int) -> int:
    span = sum(int(amount) * _SECONDS[unit] for amount, unit in _SPAN.findall(when))
    if when.startswith("+"):
        assert parent is not None
        return parent.at + span + len(parent.text) % 60  # not everything happens at second 0
    clock = re.search(r"(\d\d):(\d\d)", when)
    if clock is None:
        return now - span
    day = datetime.fromtimestamp(now - span, UTC)
    return int(day.replace(hour=int(clock[1]), minute=int(clock[2]), second=int(clock[2])).timestamp())


def _date(at: int, days: int) -> str:
    day = datetime.fromtimestamp(at, UTC) + timedelta(days=days)
    return f"{day.day} {day:%B}"


def _among_ourselves(letter: Letter) -> bool:
    return all(contact.domain == "sandbox.test" for contact in (letter.sender, *letter.to, *letter.cc))


def _sign(letter: Letter, words: str) -> str:
    return f"{words}\n\n-- \n{letter.sender.signature}"


def _intro(parent: Letter) -> str:
    at = datetime.fromtimestamp(parent.at, UTC) + timedelta(hours=parent.sender.zone)
    return f"On {at.day} {at:%B %Y} at {at:%H:%M}, {parent.sender.name} wrote:"


def _quotation(parent: Letter) -> str:
    quoted = "\n".join(f">{line}" if line.startswith(">") else f"> {line}".rstrip() for line in parent.text.split("\n"))
    return f"{_intro(parent)}\n{quoted}"


def _html(words: str, quoted: Letter | None) -> str:
    paragraphs = "".join(f"<p>{escape(paragraph).replace(chr(10), '<br>')}</p>\n" for paragraph in words.split("\n\n"))
    quote = ""
    if quoted:
        inner = escape(quoted.text).replace("\n", "<br>\n")
        quote = f'<p>{escape(_intro(quoted))}</p>\n<blockquote type="cite">{inner}</blockquote>\n'
    return f'<html><body style="font-family: Georgia, serif; font-size: 15px">\n{paragraphs}{quote}</body></html>\n'


def _list_fields() -> tuple[tuple[str, str], ...]:
    """What a mailing list adds (RFC 2369, RFC 2919)."""
    return (
        ("List-Id", f"Building bicycle wheels <wheelbuilders.{_LIST}>"),
        ("List-Post", f"<mailto:wheelbuilders@{_LIST}>"),
        ("List-Unsubscribe", f"<https://{_LIST}/wheelbuilders/leave>, <mailto:wheelbuilders-leave@{_LIST}>"),
        ("List-Archive", f"<https://{_LIST}/wheelbuilders/archive>"),
        ("Precedence", "list"),
        ("Sender", f"<wheelbuilders-bounces@{_LIST}>"),
    )
