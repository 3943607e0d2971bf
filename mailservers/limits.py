"""How much a submission server takes of one login (spec B9): typed, else the catalog's, else usual."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from providers.models import Provider

if TYPE_CHECKING:
    from mailservers.models import MailServer

#: Columns of `MailServer`, and the catalog's names for the same.
LIMITS: Final = ("connections", "messages_per_connection", "per_minute", "per_day")
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Limits:
    """For one login, over all workers together. None: as many as there are.

    connections: open at the same time; messages_per_connection: handed over before it is closed.
    per_minute, per_day: messages handed over within any 60 seconds and any 24 hours.
    """

    connections: int = 5
    messages_per_connection: int = 100
    per_minute: int | None = None
    per_day: int | None = None

    @property
    def windows(self) -> list[tuple[timedelta, int, str]]:
        """Each rate: its period, the most messages in it, and what people call the period."""
        rates = ((MINUTE, self.per_minute, "minute"), (DAY, self.per_day, "day"))
        return [(period, most, name) for period, most, name in rates if most is not None]


def limits_of(server: MailServer | None, provider: Provider | None) -> Limits:
    """server: whose own values come first; None for a mailbox that sends with its own login.

    provider: of the server, or of that mailbox.
    """
    known = dict(provider.limits) if provider is not None else {}
    typed = {name: getattr(server, name) for name in LIMITS} if server is not None else {}
    values = {name: typed.get(name) or known.get(name) for name in LIMITS}
    return Limits(**{name: int(value) for name, value in values.items() if value})
