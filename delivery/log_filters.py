"""What narrows the log: from the address of a page or a call of the API, the same for lists, files and runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Filters:
    """What narrows the log; an empty value does not.

    state:     any recipient in it, so that partly failed mail is found under "failed".
    origin:    who wanted it sent, one of `Origin`.
    text:      words of the subject or of a recipient; the last may be the beginning of one.
    recipient: a name or an address, or a part of one, such as a domain; its words stand together.
    since:     first moment that still counts; `until` the first that does not.
    """

    state: str = ""
    mailbox_pk: int | None = None
    origin: str = ""
    author_pk: int | None = None
    text: str = ""
    recipient: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def __bool__(self) -> bool:
        return self != Filters()
