"""A stored message, as a sync leaves it."""

from __future__ import annotations

from django.utils import timezone

from mailstore.models import Conversation, Folder, Listing, Message


def store(folder: Folder) -> Folder:
    """Put one message into `folder`; return the folder with its marks moved."""
    now = timezone.now()
    conversation = Conversation.objects.create(mailbox=folder.mailbox, subject="Hello")
    message = Message.objects.create(
        mailbox=folder.mailbox,
        folder=folder,
        conversation=conversation,
        uidvalidity=7,
        uid=1,
        received_at=now,
        size=10,
        pack="1-1.pack",
        offset=0,
        stored_size=10,
        sha256=bytes(32),
    )
    Listing.objects.create(
        folder=folder, conversation=conversation, newest=message, last_at=now, message_count=1, unread_count=1
    )
    folder.uidnext, folder.stored, folder.synced_at = 2, "1", now
    folder.save()
    return folder
