"""Login names and passwords, kept out of every printed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


class Secret:
    """A text that never shows itself: not in repr, str, format, logs or pickles. `reveal()` is the only way."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text: Final = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> str:
        raise TypeError("A secret cannot be serialised; pass the primary key of its row instead.")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is offered at login (RFC 4954, RFC 9051 6.2): a user name as the server wants it, and its password.

    is_token: the password is an OAuth 2.0 access token (RFC 6750), which other mechanisms carry.
    """

    username: str
    password: Secret
    is_token: bool = False
