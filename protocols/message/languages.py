"""The languages that mail can be written in: the few lines of ours that stand in it come from `languages.toml`."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from protocols.message.addresses import Address

DEFAULT: Final = "en"

_SPACES = re.compile(r"\s+")
_LONGEST_SENDER: Final = 200  # characters; an attribution is one line that people read
# What the placeholders of `wrote` look like once they are filled in.
_SHAPES: Final = {
    "{day}": r"\d{1,2}(?:er)?",
    "{month}": r"[^\W\d_]{3,14}",
    "{year}": r"\d{4}",
    "{hour}": r"\d{2}",
    "{minute}": r"\d{2}",
    "{sender}": rf"\S.{{0,{_LONGEST_SENDER}}}",
}


class FieldNames(NamedTuple):
    """The header fields of a message that is passed on, as people of a language read them."""

    from_: str
    date: str
    subject: str
    to: str
    cc: str


@dataclass(frozen=True, slots=True)
class Language:
    """One language of the table.

    tag:      as Content-Language and HTML have it (RFC 5646).
    name:     in English; own_name: as its speakers call it.
    """

    tag: str
    name: str
    own_name: str
    fields: FieldNames
    _months: tuple[str, ...]
    _first_day: str
    _moment: str
    _wrote: str
    _wrote_undated: str
    _somebody: str
    _forwarded: str

    def moment(self, at: datetime) -> str:
        """Return a date and a time of the day, such as "3 March 2026 at 10:42", in the time zone of `at`."""
        return self._moment.format(
            day=self._first_day if at.day == 1 else at.day,
            month=self._months[at.month - 1],
            year=f"{at.year:04}",
            hour=f"{at.hour:02}",
            minute=f"{at.minute:02}",
        )

    def attribution(self, sender: Address | None, sent_at: datetime | None) -> str:
        """Return the line above a quotation: who wrote, and when."""
        name = (sender.name or sender.address) if sender is not None else ""
        who = _SPACES.sub(" ", name).strip()[:_LONGEST_SENDER] or self._somebody
        if sent_at is None:
            return self._wrote_undated.format(sender=who)
        return self._wrote.format(moment=self.moment(sent_at), sender=who)

    @property
    def forwarded(self) -> str:
        """The line above a message that is passed on."""
        return f"-------- {self._forwarded} --------"

    def attribution_pattern(self) -> str:
        """Return a regular expression that matches each dated attribution of this language, from its beginning."""
        pattern = re.escape(self._wrote.replace("{moment}", self._moment))
        for placeholder, shape in _SHAPES.items():
            pattern = pattern.replace(re.escape(placeholder), shape)
        return pattern


def _read() -> dict[str, Language]:
    table = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return {
        tag: Language(
            tag=tag,
            name=entry["name"][0],
            own_name=entry["name"][1],
            fields=FieldNames(*entry["fields"]),
            _months=tuple(entry["months"]),
            _first_day=entry.get("first_day", "1"),
            _moment=entry["moment"],
            _wrote=entry["wrote"],
            _wrote_undated=entry["wrote_undated"],
            _somebody=entry["somebody"],
            _forwarded=entry["forwarded"],
        )
        for tag, entry in table.items()
    }


LANGUAGES: Final = MappingProxyType(_read())


def language(tag: str) -> Language:
    """Return the language with this tag; English for a tag that the table does not know (any more)."""
    return LANGUAGES.get(tag, LANGUAGES[DEFAULT])


def choices() -> list[tuple[str, str]]:
    """For a list to choose from: tag, and a name that both a speaker and a colleague understand."""
    return [
        (each.tag, each.name if each.name == each.own_name else f"{each.name} ({each.own_name})")
        for each in sorted(LANGUAGES.values(), key=lambda each: (each.tag != DEFAULT, each.name))
    ]
