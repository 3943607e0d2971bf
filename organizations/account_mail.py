"""Mail about accounts: invitations and new passwords (spec A5).

It has a transport of its own, set by ACCOUNT_MAIL_URL and apart from every mail server that administrators enter, so
that a broken business server never locks anybody out:

    smtp+tls://user:password@host:465    TLS from the first octet
    smtp://user:password@host:587        STARTTLS
    smtp+plain://host:25                 in the clear, for a relay on the same machine
    console:                             printed by the web process

Without it: where the sandbox is on, mail to its addresses goes there and all other is printed.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone

from organizations.dialing import SANDBOX_SMTP_HOST, dialer, trust
from organizations.models import Organization
from protocols.credentials import Credentials, Secret
from protocols.endpoint import Endpoint, Security
from protocols.errors import Deferred, LoginRefused, MailError, OutcomeUnknown, Refused, SecurityRefused, Unreachable
from protocols.message.addresses import Address
from protocols.message.build import OutgoingMessage, UnwritableField, build_message
from protocols.message.fields import HeaderInjection
from protocols.message.identity import new_message_id
from protocols.smtp.session import open_session

SCHEMES = {
    "smtp+tls": (Security.TLS, 465),
    "smtp": (Security.STARTTLS, 587),
    "smtp+plain": (Security.NONE, 25),
}
REPLY_TIMEOUT = 20.0  # seconds; somebody waits for the page
UNREADABLE = (
    "ACCOUNT_MAIL_URL cannot be read. Write smtp+tls://user:password@host:465, smtp://user:password@host:587 or "
    "console:, with %40 for an @ in user or password."
)
ADDRESS = re.compile(r"[^@\s]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
PRINTED = "No server is set for account mail, so it was only printed in the log of the program."
SANDBOX_DOMAIN = "sandbox.test"
SANDBOX_SENDER = "support@sandbox.test"


class AccountMailFailed(Exception):
    """It did not leave; the text says why and what to do, for a person who manages people."""


class Misconfigured(AccountMailFailed):
    """ACCOUNT_MAIL_URL cannot be read."""


@dataclass(frozen=True, slots=True)
class Transport:
    """endpoint: None prints on the console. sender: the address in From and of the envelope."""

    endpoint: Endpoint | None
    credentials: Credentials | None
    sender: str


CONSOLE = Transport(None, None, "accounts@localhost.localdomain")


def transport_to(address: str) -> Transport:
    """The way for mail to `address`. Raises Misconfigured."""
    if settings.ACCOUNT_MAIL_URL:
        return _configured(settings.ACCOUNT_MAIL_URL, settings.ACCOUNT_MAIL_FROM)
    if settings.SANDBOX_SMTP_PORT and address.lower().endswith(f"@{SANDBOX_DOMAIN}"):
        password = (settings.SANDBOX_DIR / "password").read_text().strip()
        endpoint = Endpoint(SANDBOX_SMTP_HOST, settings.SANDBOX_SMTP_PORT, Security.NONE, REPLY_TIMEOUT)
        return Transport(endpoint, Credentials(SANDBOX_SENDER, Secret(password)), SANDBOX_SENDER)
    return CONSOLE


def leaves(address: str) -> bool:
    """Whether mail to `address` goes to a server, not only to the program's log."""
    try:
        return transport_to(address).endpoint is not None
    except Misconfigured:
        return False


def describe() -> str:
    """One sentence about where account mail goes, for those who manage people; no secret in it."""
    if not settings.ACCOUNT_MAIL_URL:
        if settings.SANDBOX_SMTP_PORT:
            return f"Mail to {SANDBOX_DOMAIN} arrives in the sandbox; other mail is printed in the program's log."
        return "Nothing leaves: ACCOUNT_MAIL_URL is not set, so account mail is printed in the log of the program."
    try:
        transport = transport_to("")
    except Misconfigured as exc:
        return str(exc)
    if transport.endpoint is None:
        return "Nothing leaves: ACCOUNT_MAIL_URL is “console:”, so account mail is printed in the log of the program."
    kind = {Security.TLS: "TLS", Security.STARTTLS: "STARTTLS", Security.NONE: "not encrypted"}
    login = f"as {transport.credentials.username}" if transport.credentials else "without a login"
    return f"Through {transport.endpoint} ({kind[transport.endpoint.security]}), {login}, from {transport.sender}."


def send(template: str, *, to: tuple[str, str], organization: Organization, context: dict[str, Any]) -> bool:
    """Write `templates/account/mail/<template>.txt` to `to` (name, address) and hand it over; waits for the network.

    The first line of the template is the subject. True: a server took it; False: it was printed on the console.
    Raises AccountMailFailed.
    """
    name, address = to
    transport = transport_to(address)
    values = {"organization": organization, "name": name, **context}
    subject, _, text = render_to_string(f"account/mail/{template}.txt", values).strip().partition("\n")
    if transport.endpoint is None:
        _print(address, subject, text.strip())
        return False
    draft = OutgoingMessage(
        from_=Address(organization.name, transport.sender),
        to=(Address(name, address),),
        subject=subject.strip(),
        text=text.strip() + "\n",
        message_id=new_message_id(transport.sender.rpartition("@")[2]),
        date=timezone.localtime(),
        headers=(("Auto-Submitted", "auto-generated"),),
        language="en",
    )
    try:
        raw = build_message(draft)
    except (HeaderInjection, UnwritableField) as exc:
        raise AccountMailFailed(f"The mail could not be written: {exc}.") from exc
    try:
        _submit(transport, transport.endpoint, address, raw)
    except MailError as exc:
        raise AccountMailFailed(_explained(exc, transport.endpoint)) from exc
    return True


def _submit(transport: Transport, endpoint: Endpoint, address: str, raw: bytes) -> None:
    with open_session(endpoint, transport.credentials, dialer=dialer(), trust=trust()) as session:
        [reply] = session.submit(transport.sender, [address], raw, before_final_dot=lambda: None)
    if not reply.accepted:
        kind = Deferred if reply.deferred else Refused
        raise kind("The server did not take the message.", reply=f"{reply.code} {reply.text}".strip(), code=reply.code)


def _print(address: str, subject: str, text: str) -> None:
    """For installations that have no transport yet: the operator passes the link on."""
    sys.stdout.write(f"--- Account mail to {address}\nSubject: {subject}\n\n{text}\n---\n")
    sys.stdout.flush()


def _explained(error: MailError, endpoint: Endpoint) -> str:
    match error:
        case LoginRefused():
            cause = (
                f"The account-mail server {endpoint} refused the login. Check user and password in ACCOUNT_MAIL_URL."
            )
        case SecurityRefused():
            cause = f"The account-mail server {endpoint} does not offer the security that ACCOUNT_MAIL_URL asks for."
        case Unreachable():
            cause = f"The account-mail server {endpoint} could not be reached ({error})."
        case OutcomeUnknown():
            cause = (
                f"The account-mail server {endpoint} fell silent at the end; the mail may have arrived all the same."
            )
        case Deferred():
            cause = f"The account-mail server {endpoint} did not take the mail for now. Try again in some minutes."
        case _:
            cause = f"The account-mail server {endpoint} did not take the mail."
    return f"{cause} It said: {error.reply}" if error.reply and error.reply not in cause else cause


def _configured(url: str, sender: str) -> Transport:
    """Never repeats the address in its errors: it holds the password."""
    if url.strip().rstrip("/") == "console:":
        return CONSOLE
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise Misconfigured(UNREADABLE) from None
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise Misconfigured(UNREADABLE)
    security, usual_port = SCHEMES[parts.scheme]
    username = unquote(parts.username or "")
    sender = sender or username
    if not ADDRESS.fullmatch(sender):
        raise Misconfigured("Set ACCOUNT_MAIL_FROM to the address that account mail comes from.")
    return Transport(
        Endpoint(parts.hostname, port or usual_port, security, REPLY_TIMEOUT),
        Credentials(username, Secret(unquote(parts.password or ""))) if username else None,
        sender,
    )
