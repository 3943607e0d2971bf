"""Open a mailbox's connections: unseal, dial through the guard, log in. The only place that joins the three."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from accounts.models import Mailbox
from organizations.dialing import dialer, trust
from organizations.sealing import Unopenable
from protocols.errors import Refused
from protocols.imap import session as imap
from protocols.smtp import session as smtp
from protocols.steps import Observer, ignore

T = TypeVar("T")
UNREADABLE = "The stored password can no longer be opened."  # the doctor's rules know these words


class PasswordUnreadable(Refused):
    """The key that sealed the stored password is gone: it has to be typed again. No connection was opened."""

    def __init__(self) -> None:
        super().__init__(UNREADABLE, reply=UNREADABLE)


@contextmanager
def imap_session(mailbox: Mailbox, observe: Observer = ignore) -> Iterator[imap.ImapSession]:
    """Log in to the mailbox's IMAP server. Raises MailError, also for commands inside the block."""
    endpoint = mailbox.incoming()
    if endpoint is None:
        raise Refused("This mailbox only sends; it has no IMAP server.")
    credentials = _opened(mailbox.incoming_credentials)
    with imap.open_session(endpoint, credentials, dialer=dialer(), trust=trust(), observe=observe) as session:
        yield session


@contextmanager
def smtp_session(mailbox: Mailbox, observe: Observer = ignore) -> Iterator[smtp.SmtpSession]:
    """Log in to the server that sends for the mailbox. Raises MailError, also for commands inside the block."""
    endpoint = mailbox.outgoing()
    if endpoint is None:
        raise Refused("This mailbox has no outgoing server. Choose one in its settings.")
    credentials = _opened(mailbox.outgoing_credentials)
    with smtp.open_session(endpoint, credentials, dialer=dialer(), trust=trust(), observe=observe) as session:
        yield session


def _opened(credentials: Callable[[], T]) -> T:
    try:
        return credentials()
    except Unopenable as exc:
        raise PasswordUnreadable from exc
