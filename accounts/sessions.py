"""Open a mailbox's connections: unseal, dial through the guard, log in. The only place that joins the three."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, TypeVar

from django.utils import timezone

from accounts.kept_sessions import KeptSessions
from accounts.models import Mailbox
from mailservers.models import MailServer
from mailservers.passwords import opened
from mailservers.sizes import note_size_limit
from organizations.dialing import dialer, trust
from protocols.errors import Refused
from protocols.imap import session as imap
from protocols.imap.idle_line import IdleLine, open_line
from protocols.smtp import session as smtp
from protocols.steps import Observer, ignore

KEPT: Final = KeptSessions()
atexit.register(KEPT.close)

Answer = TypeVar("Answer")


@contextmanager
def imap_session(mailbox: Mailbox, observe: Observer = ignore, *, compress: bool = True) -> Iterator[imap.ImapSession]:
    """Log in to the mailbox's IMAP server. Raises MailError, also for commands inside the block."""
    endpoint = mailbox.incoming()
    if endpoint is None:
        raise Refused("This mailbox only sends; it has no IMAP server.")
    credentials = opened(mailbox.incoming_credentials)
    with imap.open_session(
        endpoint, credentials, dialer=dialer(), trust=trust(), observe=observe, compress=compress
    ) as session:
        yield session


@contextmanager
def kept_imap_session(
    mailbox: Mailbox,
    first: Callable[[imap.ImapSession], Answer],
    *,
    logged_in: Callable[[], None],
    observe: Observer = ignore,
) -> Iterator[tuple[imap.ImapSession, Answer]]:
    """The same on a session that this process has kept, else on a new one, which is kept; with its answer to `first`.

    logged_in: called where the session is new. Not compressed: there is little to say, and what is kept takes memory.
    """

    def log_in(stack: ExitStack) -> imap.ImapSession:
        session = stack.enter_context(imap_session(mailbox, observe, compress=False))
        logged_in()
        return session

    with KEPT.session(mailbox, log_in, first) as asked:
        yield asked


def idle_line(mailbox: Mailbox) -> IdleLine:
    """Log in to the mailbox's IMAP server and open its INBOX, to wait for news there. Raises MailError.

    Blocks, and uses no database.
    """
    endpoint = mailbox.incoming()
    if endpoint is None:
        raise Refused("This mailbox only sends; it has no IMAP server.")
    return open_line(endpoint, opened(mailbox.incoming_credentials), dialer=dialer(), trust=trust())


@contextmanager
def smtp_session(
    mailbox: Mailbox, observe: Observer = ignore, server: MailServer | None = None
) -> Iterator[smtp.SmtpSession]:
    """Log in to the server that sends for the mailbox. Raises MailError, also for commands inside the block.

    server: one that stands in for its own, with the login of that one.
    """
    endpoint = server.endpoint() if server is not None else mailbox.outgoing()
    if endpoint is None:
        raise Refused("This mailbox has no outgoing server. Choose one in its settings.")
    credentials = opened(server.credentials if server is not None else mailbox.outgoing_credentials)
    with smtp.open_session(endpoint, credentials, dialer=dialer(), trust=trust(), observe=observe) as session:
        note_size_limit(endpoint, session.size_limit, timezone.now())
        yield session
