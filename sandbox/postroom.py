"""Where submitted mail goes: who can be reached at sandbox.test, who refuses, and how mail is put into mailboxes."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from email.utils import formatdate
from typing import Final

from sandbox.people import DOMAIN, SHARED, resident
from sandbox.store import INBOX, Store

MAX_SIZE: Final = 25 * 2**20  # octets
MEETING_LASTS: Final = 24 * 3600  # seconds until later@ has forgotten a sender

_FULL: Final = f"full@{DOMAIN}"
_LATER: Final = f"later@{DOMAIN}"
_FIELD_NAMES: Final = re.compile(rb"^([!-9;-~]+)[ \t]*:", re.MULTILINE)


class Reply:
    """An SMTP reply. enhanced: the status of RFC 3463, empty where none belongs (greeting, EHLO, 334, 354)."""

    def __init__(self, code: int, enhanced: str, *lines: str) -> None:
        self.code = code
        self._enhanced = enhanced
        self._lines = lines

    def encode(self) -> bytes:
        """The reply as it goes over the wire, one line or several (RFC 5321, 4.2.1)."""
        status = f"{self._enhanced} " if self._enhanced else ""
        last = len(self._lines) - 1
        return "".join(
            f"{self.code}{' ' if number == last else '-'}{status}{line}\r\n" for number, line in enumerate(self._lines)
        ).encode("utf-8")


class Postroom:
    """Delivers into the store. Some addresses refuse on purpose, so that one can see what happens then:

    nobody@ does not exist, full@ has no room, and later@ (an alias of support@) defers each new message at first and
    takes it when the sender comes back after `later_after` seconds.
    """

    def __init__(self, store: Store, *, later_after: int = 20) -> None:
        self._store = store
        self._later_after = later_after

    def refuse(self, recipient: str, *, sender: str, now: int) -> Reply | None:
        """Say why mail for this recipient is not taken; None when it is. `now` is Unix time."""
        address = recipient.lower()
        if not address.endswith(f"@{DOMAIN}"):
            return Reply(550, "5.7.1", f"the sandbox delivers only to {DOMAIN}")
        if address == _FULL:
            return Reply(552, "5.2.2", "The mailbox is full (full@ always is, for trying)")
        if address == _LATER:
            return self._defer(sender.lower(), now)
        if resident(address) is None:
            return Reply(550, "5.1.1", "There is no such person here")
        return None

    def _defer(self, sender: str, now: int) -> Reply | None:
        with self._store.transaction():
            first_at = self._store.first_met_at(sender, _LATER, now)
            if now - first_at > MEETING_LASTS:
                self._store.forget_meeting(sender, _LATER)
                first_at = self._store.first_met_at(sender, _LATER, now)
        wait = first_at + self._later_after - now
        if wait > 0:
            return Reply(451, "4.7.1", f"Try again in {wait} seconds (later@ defers each message once, for trying)")
        return None

    def deliver(self, raw: bytes, *, sender: str, recipients: Sequence[str], client: str) -> Reply:
        """Put a message into each recipient's INBOX once; when this returns it is on disk.

        client: what the other side called itself in EHLO. Raises sqlite3.Error; then nothing was delivered.
        """
        owners = {resident(SHARED if address.lower() == _LATER else address) for address in recipients}
        number = secrets.token_hex(6)
        stamped = _stamp(raw, sender=sender, recipients=recipients, client=client, number=number)
        with self._store.transaction():
            inboxes = [self._store.folder(owner, INBOX).pk for owner in sorted(filter(None, owners))]
            self._store.add(inboxes, stamped, flags=frozenset(), internal_at=int(time.time()))
            if any(address.lower() == _LATER for address in recipients):
                self._store.forget_meeting(sender.lower(), _LATER)
        return Reply(250, "2.0.0", f"Delivered as {number}")


def _stamp(raw: bytes, *, sender: str, recipients: Sequence[str], client: str, number: str) -> bytes:
    """Put the trace fields on top (RFC 5321, 4.4) and add Date and Message-ID where missing (RFC 6409, 8).

    The recipient is named only when there is one: a trace must not give away blind copies.
    """
    lines = [f"Return-Path: <{sender}>", f"Received: from {_printable(client)} (localhost [127.0.0.1])"]
    lines.append(f"\tby {DOMAIN} (Sandbox) with ESMTPA id {number}")
    if len(recipients) == 1:
        lines.append(f"\tfor <{recipients[0]}>")
    lines[-1] += f"; {formatdate(localtime=True)}"
    header = raw[: raw.find(b"\r\n\r\n")] if b"\r\n\r\n" in raw else raw
    present = {name.lower() for name in _FIELD_NAMES.findall(header)}
    if b"date" not in present:
        lines.append(f"Date: {formatdate(localtime=True)}")
    if b"message-id" not in present:
        lines.append(f"Message-ID: <{number}.{int(time.time())}@{DOMAIN}>")
    return "".join(line + "\r\n" for line in lines).encode("utf-8") + raw


def _printable(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.:\[\]_-]", "?", name)[:255]
