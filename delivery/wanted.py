"""What is asked for before it becomes rows: one mail, by a person in the composer or by a program through the API."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from accounts.models import Mailbox
from delivery.senders import AS_USUAL, SenderChoice
from delivery.states import Automatic, Origin, Priority
from mailstore.models import Message
from organizations.models import User
from protocols.message.addresses import Address
from protocols.message.build import Attachment

AUTO_SUBMITTED: Final = "Auto-Submitted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One mail as it is wanted; `outbox.queue_message` makes its rows.

    submission_key: one mail per author and key, however often it is asked for (spec I4).
    digest:         tells one request from another under the same key; made of the content where the caller gives none.
    scheduled_for:  not before this moment; None: as soon as it can.
    automatic:      a program wrote it by itself, and nobody pressed a button for it.
    sender:         under which address, and where answers go; by default the mailbox's usual one.
    unsubscribe:    https and mailto addresses for List-Unsubscribe (RFC 2369, RFC 8058).
    undo_period:    how long it waits at least, so that its author can take it back.
    """

    author: User
    mailbox: Mailbox
    submission_key: str
    to: Sequence[Address] = ()
    cc: Sequence[Address] = ()
    bcc: Sequence[Address] = ()
    subject: str = ""
    text: str = ""
    html: str | None = None
    attachments: Sequence[Attachment] = ()
    answers: Message | None = None
    sender: SenderChoice = AS_USUAL
    unsubscribe: Sequence[str] = ()
    origin: Origin = Origin.PERSON
    priority: Priority = Priority.PERSON
    scheduled_for: datetime | None = None
    undo_period: timedelta = timedelta(0)
    automatic: bool = False
    digest: str = ""

    @property
    def automatic_kind(self) -> Automatic | Literal[""]:
        """What the mail is marked as; an automatic one that answers a message must pass more than others."""
        if not self.automatic:
            return ""
        return Automatic.GENERATED if self.answers is None else Automatic.REPLIED

    @property
    def automatic_fields(self) -> tuple[tuple[str, str], ...]:
        """Auto-Submitted (RFC 3834, 5), so that no autoresponder answers what a program wrote."""
        return ((AUTO_SUBMITTED, f"auto-{self.automatic_kind}"),) if self.automatic else ()

    @property
    def content_digest(self) -> str:
        """One short text for everything that is asked for."""
        if self.digest:
            return self.digest
        asked = [
            self.mailbox.pk,
            [[(one.name, one.address) for one in field] for field in (self.to, self.cc, self.bcc)],
            self.subject,
            self.text,
            self.html,
            [(file.filename, file.content_type, hashlib.sha256(file.content).hexdigest()) for file in self.attachments],
            self.answers.pk if self.answers else None,
            self.scheduled_for.isoformat() if self.scheduled_for else None,
            self.priority,
            self.automatic,
            asdict(self.sender),
            list(self.unsubscribe),
        ]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()
