"""What ends when a person is deactivated or removed. Apps above say it for their rows, and let go of them in time."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from django.dispatch import Signal

from organizations.models import User

#: Before a person is removed, inside the transaction; `user`. Whoever keeps much below the person lets it go in bulk.
person_leaving = Signal()

#: Sentences about one person, such as "3 mailboxes of Anna stop syncing."
Telling = Callable[[User], Iterable[str]]
_when_deactivated: list[Telling] = []
_when_removed: list[Telling] = []


def tells_when_deactivated(telling: Telling) -> Telling:
    """Decorator: `telling` says what stops."""
    _when_deactivated.append(telling)
    return telling


def tells_when_removed(telling: Telling) -> Telling:
    """Decorator: `telling` says what is lost."""
    _when_removed.append(telling)
    return telling


def what_stops(person: User) -> list[str]:
    return [sentence for telling in _when_deactivated for sentence in telling(person)]


def what_is_lost(person: User) -> list[str]:
    return [sentence for telling in _when_removed for sentence in telling(person)]
