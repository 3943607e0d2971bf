"""Folders as the server lists them."""

from __future__ import annotations

from django.db import models

from accounts.models import Mailbox


class Folder(models.Model):
    """What IMAP calls a mailbox: a place with messages (RFC 9051, 5.1).

    raw_name:  the name as the server sent it (modified UTF-7 or UTF-8), never shown.
    uidnext:   every message with this UID or a higher one is new to us; the lower ones are old mail.
    stored:    UIDs that are stored or were skipped for good, as an IMAP sequence set ("1:812,900").
    covers_from: mail received since then was asked for; None with a `synced_at`: all of it.
    missing:   keys of messages that were gone at `missing_since`, more than is believed at once (fault R13), in the
               form of `stored`. Empty with a `missing_since`: the whole folder was gone from the server's list.
    """

    class SpecialUse(models.TextChoices):
        """RFC 6154 and 8457, plus INBOX."""

        INBOX = "inbox", "Inbox"
        SENT = "sent", "Sent"
        DRAFTS = "drafts", "Drafts"
        ARCHIVE = "archive", "Archive"
        JUNK = "junk", "Spam"
        TRASH = "trash", "Trash"
        ALL = "all", "All mail"
        FLAGGED = "flagged", "Flagged"
        IMPORTANT = "important", "Important"

    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="folders")
    name = models.CharField(max_length=1000)
    raw_name = models.BinaryField(max_length=2000)
    delimiter = models.CharField(max_length=1, blank=True)
    special_use = models.CharField(max_length=10, choices=SpecialUse, blank=True)
    is_selectable = models.BooleanField(default=True)
    is_followed = models.BooleanField(default=True)
    vanished_at = models.DateTimeField(null=True, blank=True, help_text="Set when LIST no longer shows it.")
    uidvalidity = models.PositiveBigIntegerField(null=True, blank=True)
    uidnext = models.PositiveBigIntegerField(null=True, blank=True)
    highestmodseq = models.PositiveBigIntegerField(null=True, blank=True)
    mailboxid = models.CharField(max_length=255, blank=True, help_text="What stays when its name changes (RFC 8474).")
    exists = models.PositiveIntegerField(default=0, help_text="Messages on the server when last examined.")
    stored = models.TextField(blank=True)
    synced_at = models.DateTimeField(null=True, blank=True)
    covers_from = models.DateTimeField(null=True, blank=True)
    problem = models.CharField(max_length=300, blank=True, help_text="Why it cannot be synced, in words.")
    missing = models.TextField(blank=True)
    missing_since = models.DateTimeField(null=True, blank=True)
    refused = models.JSONField(default=dict, help_text="Tries by UID of messages the server refuses to give.")
    refused_until = models.DateTimeField(null=True, blank=True, help_text="When they are asked for again.")
    flags_compared_at = models.DateTimeField(
        null=True, blank=True, help_text="When all flags were last compared, where the server counts no changes."
    )
    epoch_changes = models.PositiveSmallIntegerField(default=0, help_text="UIDVALIDITY changes in a row (fault R10).")

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["mailbox", "raw_name"], name="one_row_per_folder_name")]

    def __str__(self) -> str:
        return self.name

    @property
    def label(self) -> str:
        """The name that people know: "Inbox", "Trash"; its own where it has no use."""
        return self.get_special_use_display() if self.special_use else self.name

    @property
    def wire_name(self) -> bytes:
        """What commands take; PostgreSQL gives columns of octets as memory views."""
        return bytes(self.raw_name)

    @property
    def epoch(self) -> int:
        """The present UIDVALIDITY; 0, which no server may use, before the folder was opened once."""
        return self.uidvalidity or 0
