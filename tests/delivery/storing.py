"""Stored mail, as a sync leaves it."""

from __future__ import annotations

from django.utils import timezone

from accounts.models import Mailbox
from mailstore.models import Folder, Message
from mailstore.packs import PackWriter


def store(mailbox: Mailbox, raw: bytes, uid: int) -> Message:
    """A message in the INBOX, its octets in a pack."""
    folder, _ = Folder.objects.get_or_create(mailbox=mailbox, raw_name=b"INBOX", defaults={"name": "INBOX"})
    with PackWriter(mailbox.pk, 1) as writer:
        place = writer.append(raw)
        writer.settle()
    return Message.objects.create(
        mailbox=mailbox,
        folder=folder,
        conversation=mailbox.conversations.create(subject="Order 77"),
        uidvalidity=1,
        uid=uid,
        received_at=timezone.now(),
        size=len(raw),
        pack=place.pack,
        offset=place.offset,
        stored_size=place.size,
        sha256=b"",
        message_id="two@partner.example",
        subject="Re: Order 77",
        from_name="Bob Brown",
        from_address="bob@partner.example",
    )
