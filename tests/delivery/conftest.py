"""Messages in the outbox, and servers to hand them to."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.utils import timezone

from accounts.models import Mailbox
from delivery.models import OutboxMessage, OutboxRecipient
from delivery.states import SentCopy, State
from mailstore.models import Arrival, Message
from organizations import dialing
from organizations.models import User
from protocols.credentials import Credentials
from protocols.imap.session import open_session
from providers.models import Provider
from tests.delivery.sink import Sink, SinkController
from tests.delivery.storing import store
from tests.servers.dovecot import Dovecot
from tests.servers.processes import free_port

RAW = (
    b"From: Bob Brown <bob@partner.example>\r\nTo: alice@example.org, Carol <carol@example.org>\r\n"
    b"Cc: dave@example.org\r\nReply-To: orders@partner.example\r\nSubject: Re: Order 77\r\n"
    b"Message-ID: <two@partner.example>\r\nReferences: <one@partner.example>\r\n"
    b"Date: Fri, 20 Nov 2026 09:30:00 +0000\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    b"Can you deliver on Thursday?\r\n--b\r\nContent-Type: application/pdf\r\n"
    b"Content-Disposition: attachment; filename=order.pdf\r\n\r\n%PDF-1.4 order\r\n--b--\r\n"
)
MakeMessage = Callable[..., OutboxMessage]


@pytest.fixture
def may_dial(settings) -> Iterator[Callable[..., None]]:
    """`may_dial(port, ...)`: let the guarded dialer reach loopback on these ports."""

    def allow(*ports: int) -> None:
        settings.DIAL_NETWORKS = ["127.0.0.0/8"]
        settings.DIAL_PORTS = list(ports)
        dialing.dialer.cache_clear()

    yield allow
    dialing.dialer.cache_clear()


@pytest.fixture
def sink(may_dial) -> Iterator[Sink]:
    """A running submission server that takes everything."""
    sink = Sink(port=free_port())
    controller = SinkController(sink, sink.port)
    controller.start()
    may_dial(sink.port)
    yield sink
    controller.stop()


@pytest.fixture
def sending_mailbox(make_mailbox: Callable[..., Mailbox], alice: User, sink: Sink) -> Mailbox:
    """Alice's mailbox, sending through the sink; it has no incoming part."""
    return make_mailbox(
        "alice@example.org", alice, smtp_host="127.0.0.1", smtp_port=sink.port, smtp_security="none", imap_host=""
    )


@pytest.fixture
def make_message(db: None) -> MakeMessage:
    """`make_message(mailbox, author, "bob@example.org", ...)`: a queued row, without any nudge."""
    keys = itertools.count(1)

    def make(mailbox: Mailbox, author: User | None, *addresses: str, **fields: object) -> OutboxMessage:
        number, now = next(keys), timezone.now()
        raw = fields.pop("raw", None) or (
            b"From: %s\r\nTo: undisclosed-recipients:;\r\nSubject: Hello %d\r\n"
            b"Message-ID: <%d@tests.example>\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n\r\nHello\r\n"
            % (mailbox.address.encode(), number, number)
        )
        recipient = {"not_before": now, "state_at": now, "expires_at": now + timedelta(hours=48)}
        recipient |= fields.pop("recipient", {})
        message = OutboxMessage.objects.create(
            **{
                "organization": mailbox.organization,
                "mailbox": mailbox,
                "author": author,
                "submission_key": f"key-{number}",
                "sender": mailbox.address,
                "from_header": mailbox.address,
                "to_header": ", ".join(addresses),
                "subject": f"Hello {number}",
                "message_id": f"<{number}@tests.example>",
                "raw": raw,
                "size": len(raw),
                "created_at": now,
                "sent_copy": SentCopy.NOT_WANTED,
                **fields,
            }
        )
        for address in addresses or ("bob@example.org",):
            OutboxRecipient.objects.create(message=message, address=address, **recipient)
        return message

    return make


@pytest.fixture
def login(dovecot: Dovecot) -> Credentials:
    """A user of Dovecot whom no other test knows."""
    return dovecot.new_user()


@pytest.fixture
def filing_mailbox(
    make_mailbox: Callable[..., Mailbox], alice: User, sink: Sink, dovecot: Dovecot, login: Credentials, may_dial
) -> Mailbox:
    """Sends through the sink, keeps its mail on Dovecot."""
    may_dial(sink.port, dovecot.plain_port)
    sink.password = login.password.reveal()
    return make_mailbox(
        "alice@example.org",
        alice,
        smtp_host="127.0.0.1",
        smtp_port=sink.port,
        smtp_security="none",
        smtp_username="alice@example.org",
        imap_host="127.0.0.1",
        imap_port=dovecot.plain_port,
        imap_security="none",
        imap_username=login.username,
        password=login.password,
    )


@pytest.fixture
def in_sent(dovecot: Dovecot, login: Credentials) -> Callable[[], list[tuple[bytes, frozenset[str]]]]:
    """`in_sent()`: the messages in the Sent folder, with their flags."""

    def read() -> list[tuple[bytes, frozenset[str]]]:
        with open_session(dovecot.endpoint(), login, dialer=dovecot.dialer) as session:
            state = session.examine(b"Sent")
            return [(found.raw, found.flags) for found in session.fetch(range(1, state.uidnext))]

    return read


@pytest.fixture
def files_sent_mail(
    sink: Sink, dovecot: Dovecot, login: Credentials, filing_mailbox: Mailbox
) -> Callable[..., Provider]:
    """`files_sent_mail(known=True)`: from now on the server files what it takes; whether the catalog knows that."""

    def begin(*, known: bool = True, mark: bytes = b"") -> Provider:
        take = sink.handle_DATA

        async def take_and_file(server: SMTP, session: Session, envelope: Envelope) -> str:
            before = len(sink.taken)
            reply = await take(server, session, envelope)
            if len(sink.taken) > before:
                with open_session(dovecot.endpoint(), login, dialer=dovecot.dialer) as opened:
                    opened.append(b"Sent", mark + sink.taken[-1].raw)
            return reply

        sink.handle_DATA = take_and_file
        provider = Provider.objects.create(key="files", name="Filing Mail", files_sent_mail=known)
        Mailbox.objects.filter(pk=filing_mailbox.pk).update(provider=provider)
        filing_mailbox.refresh_from_db()
        return provider

    return begin


def states(message: OutboxMessage) -> dict[str, str]:
    """State by address, as the rows have it now."""
    return dict(message.recipients.values_list("address", "state"))


@pytest.fixture
def stored():
    """`stored(mailbox, raw=RAW)`: a message as a sync leaves it, its octets in a pack."""
    uids = itertools.count(1)

    def put(mailbox: Mailbox, raw: bytes = RAW) -> Message:
        return store(mailbox, raw, uid=next(uids))

    return put


@pytest.fixture
def arrived(stored) -> Callable[..., Message]:
    """`arrived(mailbox, raw)`: new mail as a sync leaves it, announced to nobody."""

    def arrive(mailbox: Mailbox, raw: bytes) -> Message:
        message = stored(mailbox, raw)
        Arrival.objects.create(message=message)
        return message

    return arrive


@pytest.fixture
def sent(make_message, mailbox, alice) -> Callable[..., OutboxMessage]:
    """`sent("bob@partner.example", ..., state=State.SENT)`: a message that has left."""

    def make(*addresses: str, state: State = State.SENT, **fields: object) -> OutboxMessage:
        known = {"message_id": "offer@example.org", "subject": "Offer", "recipient": {"state": state}}
        return make_message(fields.pop("mailbox", mailbox), alice, *addresses, **(known | fields))

    return make
