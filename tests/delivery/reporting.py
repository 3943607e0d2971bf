"""Reports, complaints and automatic replies as mail servers and mail programs write them."""

from __future__ import annotations

from delivery.models import OutboxMessage
from delivery.tracing import envelope_id, mark_field

GONE = "550 5.1.1 <bob@partner.example>: User unknown"


def report(
    address: str = "bob@partner.example",
    *,
    action: str = "failed",
    status: str = "5.1.1",
    diagnostic: str = GONE,
    returned: str = "Message-ID: <offer@example.org>\r\nSubject: Offer",
    head: str = "Reporting-MTA: dns; mail.example.org",
) -> bytes:
    """A delivery report (RFC 3464). head: its per-message fields."""
    return (
        "Return-Path: <>\r\nFrom: MAILER-DAEMON@mail.example.org\r\nTo: alice@example.org\r\n"
        "Subject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: text/plain\r\n\r\nI could not deliver it.\r\n"
        f"--b\r\nContent-Type: message/delivery-status\r\n\r\n{head}\r\n\r\n"
        f"Final-Recipient: rfc822; {address}\r\nAction: {action}\r\nStatus: {status}\r\n"
        f"Diagnostic-Code: smtp; {diagnostic}\r\n\r\n"
        f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\n{returned}\r\n\r\n--b--\r\n"
    ).encode()


def marked(message: OutboxMessage) -> str:
    """The header of `message` with our mark alone, as a server returns it that has rewritten the Message-ID."""
    name, value = mark_field(message.message_id)
    return f"Message-ID: <rewritten@provider.example>\r\n{name}: {value}\r\nSubject: {message.subject}"


def enveloped(message: OutboxMessage) -> str:
    """The per-message fields of a report by a server that was told the envelope id (RFC 3461)."""
    return f"Reporting-MTA: dns; mx.partner.example\r\nOriginal-Envelope-Id: {envelope_id(message.message_id)}"


def complaint(
    message: OutboxMessage,
    *,
    original_recipient: str = "Original-Rcpt-To: <bob@partner.example>",
    to: str = "To: bob@partner.example",
    kind: str = "abuse",
) -> bytes:
    """A complaint (RFC 5965) about `message`; providers that conceal who complained leave out, or redact, both."""
    name, value = mark_field(message.message_id)
    returned = "\r\n".join(filter(None, [f"{name}: {value}", to, f"Subject: {message.subject}"]))
    fields = "\r\n".join(
        filter(None, [f"Feedback-Type: {kind}", "User-Agent: FBL/1", "Version: 1", original_recipient])
    )
    return (
        "From: feedback@provider.example\r\nTo: alice@example.org\r\nSubject: FW: Offer\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: text/plain\r\n\r\nThis is an abuse report.\r\n"
        f"--b\r\nContent-Type: message/feedback-report\r\n\r\n{fields}\r\n\r\n"
        f"--b\r\nContent-Type: text/rfc822-headers\r\n\r\n{returned}\r\n\r\n--b--\r\n"
    ).encode()


def automatic_reply(
    message: OutboxMessage,
    sender: str = "bob@partner.example",
    *,
    fields: str = "Auto-Submitted: auto-replied",
    text: str = "Hello,\r\n\r\nI am away until 3 December. Ask Carol.\r\n",
) -> bytes:
    """What a mail program answers on behalf of somebody who is away."""
    return (
        f"From: {sender}\r\nTo: alice@example.org\r\nSubject: Automatic reply: {message.subject}\r\n"
        f"In-Reply-To: <{message.message_id}>\r\nReferences: <{message.message_id}>\r\n{fields}\r\n\r\n{text}"
    ).encode()
