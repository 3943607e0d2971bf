"""Messages, what readers may save of them, and which of them are news."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from django.db import connections, models
from django.db.models import Q

from accounts.models import Mailbox
from mailstore.models.conversations import Conversation
from mailstore.models.folders import Folder
from organizations.models import User


class _Unindexed(models.Func):
    """A column that SQLite looks up in no index."""

    template = "+%(expressions)s"


class MessageQuerySet(models.QuerySet["Message"]):
    def readable_by(self, user: User, now: datetime) -> Self:
        """Those in mailboxes whose mail `user` may read.

        With hundreds of mailboxes SQLite would read the mail of each and sort it all, instead of walking down by time.
        """
        mailboxes = Mailbox.objects.readable_by(user, now).order_by()
        if connections[self.db].vendor == "sqlite":
            return self.alias(of=_Unindexed("mailbox_id")).filter(of__in=mailboxes.values("pk"))
        return self.filter(mailbox__in=mailboxes)

    def live(self) -> Self:
        return self.filter(vanished_at=None)


class Message(models.Model):
    """One message in one folder, stored once per (folder, UIDVALIDITY, UID) (spec G1).

    conversation:   where it is shown. strand: what identifiers tie it to, where that is shown in another conversation.
    received_at:    INTERNALDATE, the order of every list; `date` is what the header claims.
    pack, offset, stored_size: where the untouched octets lie (see `mailstore/packs.py`).
    """

    # Each key leads an index or a constraint below; one more of its own would only slow the writer.
    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="messages", db_index=False)
    folder = models.ForeignKey(Folder, models.CASCADE, related_name="messages", db_index=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="messages", db_index=False)
    strand = models.ForeignKey(Conversation, models.SET_NULL, null=True, related_name="+", db_index=False)
    uidvalidity = models.PositiveBigIntegerField()
    uid = models.PositiveBigIntegerField()
    received_at = models.DateTimeField()
    size = models.PositiveBigIntegerField(help_text="RFC822.SIZE, octets.")
    pack = models.CharField(max_length=80)
    offset = models.PositiveBigIntegerField()
    stored_size = models.PositiveBigIntegerField()
    sha256 = models.BinaryField(max_length=32)

    is_seen = models.BooleanField(default=False)
    is_flagged = models.BooleanField(default=False)
    is_answered = models.BooleanField(default=False)
    is_draft = models.BooleanField(default=False)
    keywords = models.JSONField(default=list)

    message_id = models.CharField(max_length=998, blank=True)
    subject = models.CharField(max_length=1000, blank=True)
    from_name = models.CharField(max_length=320, blank=True)
    from_address = models.CharField(max_length=320, blank=True)
    to = models.JSONField(default=list, help_text="[name, address] pairs; To, then Cc.")
    date = models.DateTimeField(null=True)
    preview = models.CharField(max_length=300, blank=True)
    attachment_count = models.PositiveIntegerField(default=0)
    defects = models.JSONField(default=list)
    vanished_at = models.DateTimeField(null=True, blank=True, help_text="Set when it left the folder on the server.")

    objects = MessageQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["folder", "uidvalidity", "uid"], name="message_stored_once")]
        indexes = [
            models.Index(fields=["conversation", "received_at"], name="message_in_conversation"),
            models.Index(fields=["mailbox", "message_id"], name="message_by_message_id"),
            models.Index(fields=["strand"], condition=Q(strand__isnull=False), name="message_shown_elsewhere"),
            # Lists by time, over all mailboxes that a person may read, and of one. The first holds the mailbox too, so
            # that rights are looked up without reading the row.
            models.Index(
                fields=["-received_at", "-id", "mailbox"],
                condition=Q(vanished_at=None),
                name="message_newest_first",
            ),
            models.Index(
                fields=["mailbox", "-received_at", "-id"],
                condition=Q(vanished_at=None),
                name="message_newest_of_mailbox",
            ),
        ]

    def __str__(self) -> str:
        return self.subject or "(no subject)"


class Attachment(models.Model):
    """A part that a reader may save. Its content is decoded from the message's raw octets when asked for."""

    message = models.ForeignKey(Message, models.CASCADE, related_name="attachments")
    path = models.CharField(max_length=200, help_text='Part number as in IMAP ("2.1"; RFC 9051, 6.4.5.1).')
    filename = models.CharField(max_length=255, blank=True)
    content_type = models.CharField(max_length=127)
    size = models.PositiveBigIntegerField(help_text="Decoded octets.")
    cid = models.CharField(max_length=255, blank=True)
    is_inline = models.BooleanField(default=False)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.filename or self.content_type


class Arrival(models.Model):
    """A message that came after the first import; written with it, handled once by whoever works on new mail.

    is_read_for_reports: whether `delivery` has looked if it tells what became of mail of ours.
    """

    message = models.OneToOneField(Message, models.CASCADE, related_name="arrival")
    at = models.DateTimeField(auto_now_add=True)
    is_read_for_reports = models.BooleanField(db_default=False)

    class Meta:
        indexes = [models.Index(fields=["id"], condition=Q(is_read_for_reports=False), name="arrival_to_read")]

    def __str__(self) -> str:
        return f"Arrival of {self.message_id}"
