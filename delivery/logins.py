"""Not offering refused credentials again and again (spec D4, fault R16).

The first refusal is followed by one more try after at least ten minutes; a second one holds back everything that would
use the same login, until the credentials change.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F

from accounts.models import Mailbox
from delivery.models import LoginRefusal
from mailservers.models import MailServer

SECOND_TRY_AFTER = timedelta(minutes=10)
TRIES = 2


@dataclass(frozen=True, slots=True)
class Login:
    """The credentials behind a mailbox's outgoing part, named without being told.

    key:         whose they are: the mailbox's own, or the mail server's for all mailboxes behind it.
    fingerprint: changes with the password, the user name and the server, and with nothing else.
    """

    key: str
    fingerprint: str
    is_own: bool

    @classmethod
    def of(cls, mailbox: Mailbox) -> Login:
        if mailbox.mail_server is not None:
            return cls.at(mailbox.mail_server)
        username = mailbox.smtp_username or mailbox.address
        return cls(f"mailbox {mailbox.pk}", _fingerprint(mailbox, mailbox.smtp_host, mailbox.smtp_port, username), True)

    @classmethod
    def at(cls, server: MailServer) -> Login:
        return cls(f"server {server.pk}", _fingerprint(server, server.host, server.port, server.username), False)

    def refusal(self) -> LoginRefusal | None:
        """What was noted about exactly these credentials."""
        return LoginRefusal.objects.filter(key=self.key, fingerprint=self.fingerprint).first()

    def note_refusal(self, reply: str, now: datetime) -> int:
        """Count a refusal; return how many there are with these credentials."""
        facts = {"last_at": now, "reply": reply[:2000]}
        LoginRefusal.objects.get_or_create(key=self.key, defaults={"fingerprint": self.fingerprint, **facts})
        row = LoginRefusal.objects.filter(key=self.key)
        if not row.filter(fingerprint=self.fingerprint).update(count=F("count") + 1, **facts):
            row.update(fingerprint=self.fingerprint, count=1, **facts)
        refusal = self.refusal()
        return refusal.count if refusal else 1

    def occasion(self) -> str:
        """Names this trouble: the same for all who are refused, another one once the login worked or was changed."""
        row = LoginRefusal.objects.filter(key=self.key).values_list("pk", flat=True).first()
        return f"login-{self.fingerprint[:32]}-{row or 0}"

    def note_success(self) -> bool:
        """Forget the refusals; True when there were any."""
        return LoginRefusal.objects.filter(key=self.key).delete()[0] > 0


def may_try(refusal: LoginRefusal | None, now: datetime) -> bool:
    """Whether the login may be offered now."""
    return refusal is None or (refusal.count < TRIES and refusal.last_at + SECOND_TRY_AFTER <= now)


def _fingerprint(row: Mailbox | MailServer, host: str, port: int, username: str) -> str:
    """Hash the sealed token, not the password: sealing is salted, so equal passwords do not show."""
    token = bytes(row.__dict__.get("password") or b"")
    text = f"{host}\n{port}\n{username}\n{token.hex()}"
    return hashlib.sha256(text.encode()).hexdigest()
