"""What a search of the log is made of: conditions on a message's row, and lists of keys in order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

MESSAGES: Final = "delivery_outboxmessage"
RECIPIENTS: Final = "delivery_outboxrecipient"
Value = int | str | datetime
SHORT: Final = 20_000  # keys that may be read for one page


@dataclass(frozen=True, slots=True)
class Condition:
    """A piece of SQL about the row `m` of a message, and its values."""

    sql: str
    values: tuple[Value, ...] = ()

    def __and__(self, other: Condition) -> Condition:
        return Condition(f"({self.sql}) AND ({other.sql})", (*self.values, *other.values))


@dataclass(frozen=True, slots=True)
class List:
    """Keys in order, held by an index. source: the table; key: its column with the key of the message.

    length: how many keys there are in the range that is asked for, at most SHORT + 1.
    """

    condition: Condition
    source: str = f"{MESSAGES} m"
    key: str = "m.id"
    length: int = SHORT + 1

    @property
    def is_short(self) -> bool:
        return self.length <= SHORT

    @property
    def is_of_messages(self) -> bool:
        return self.key == "m.id"
