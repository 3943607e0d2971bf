"""Passwords as people type and paste them (spec E1), and stored ones that no longer open (spec J1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeVar

from organizations.models import Organization
from organizations.sealing import Unopenable
from protocols.credentials import Credentials
from protocols.diagnosis import Cause, Diagnosis, Who
from protocols.errors import LoginRefused, MailError, Refused
from providers.lookup import provider_at
from providers.models import Provider

T = TypeVar("T")
UNREADABLE: Final = "The stored password can no longer be opened."  # the doctor's rules know these words
SPACE_AROUND: Final = Cause(
    "The password begins or ends with a space.",
    "If the space was pasted along, take it away and try again.",
    Who.USER,
    "password",
)


class PasswordUnreadable(Refused):
    """The key that sealed the stored password is gone: it has to be typed again. No connection was opened."""

    def __init__(self) -> None:
        super().__init__(UNREADABLE, reply=UNREADABLE)


def opened(credentials: Callable[[], T]) -> T:
    """What `credentials` gives. Raises PasswordUnreadable, a MailError, where it does not open."""
    try:
        return credentials()
    except Unopenable as exc:
        raise PasswordUnreadable from exc


def meant_password(text: str, provider: Provider | None, *, host: str = "", organization: Organization) -> str:
    """What the server is to get for what was typed: app passwords are shown in groups, without those spaces they count.

    Any other password stays as it is: spaces may be part of it. provider: None where only the `host` is known.
    """
    known = provider or provider_at(host, organization)
    return "".join(text.split()) if known is not None and known.asks_for_app_password else text


def with_hint_at_spaces(diagnosis: Diagnosis, error: MailError, credentials: Credentials | None) -> Diagnosis:
    """Name a space around a refused password first: it cannot be seen in the field."""
    if credentials is None or not isinstance(error, LoginRefused):
        return diagnosis
    password = credentials.password.reveal()
    return diagnosis if password == password.strip() else replace(diagnosis, causes=(SPACE_AROUND, *diagnosis.causes))
