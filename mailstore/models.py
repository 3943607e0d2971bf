"""Stored mail: folders, messages, conversations, attachments; and when each mailbox is next due."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Self

from django.db import connections, models, transaction
from django.db.models import F, Q

import mailstore.comparisons  # noqa: F401  tables of this app too
from accounts.models import Mailbox
from mailstore.changes import Change, ChangeQueue
from organizations.models import User

__all__ = [
    "LEASE", "Arrival", "Attachment", "Change", "ChangeQueue", "Conversation", "Folder", "Listing", "Message",
    "MessageQuerySet", "SyncRun", "SyncSchedule", "ThreadKey", "Watcher",
]  # fmt: skip

LEASE = timedelta(seconds=90)


class SyncScheduleQuerySet(models.QuerySet["SyncSchedule"]):
    def due(self, now: datetime) -> Self:
        """Mailboxes whose time has come and that nobody is syncing, or whose worker let the lease pass.

        A mailbox that does not download by itself is due only when somebody asked, and never while its owner is
        deactivated. The conditions on the row itself stay outside of any subquery: PostgreSQL looks at them again after
        waiting for another claim.
        """
        free = Q(leased_until=None) | Q(leased_until__lte=now)
        receiving = Mailbox.objects.exclude(imap_host="").filter(
            Q(owner=None) | Q(owner__is_active=True), paused_at=None
        )
        wanted = Q(mailbox_id__in=receiving.filter(downloads=True)) | Q(
            requested_at__isnull=False, mailbox_id__in=receiving
        )
        return self.filter(free, wanted, due_at__lte=now)

    def claim(self, mailbox_pk: int, now: datetime, *, holder: str = "") -> int | None:
        """Take the schedule row of one mailbox if it is due; return the fencing number, or None to leave it alone.

        Whether its server takes one more sync is asked in `mailstore/claiming.py`.
        """
        with transaction.atomic():
            claimed = (
                self.due(now)
                .filter(mailbox_id=mailbox_pk)
                .update(
                    fence=F("fence") + 1,
                    leased_until=now + LEASE,
                    holder=holder[:200],
                    started_at=now,
                    folder_name="",
                    done=0,
                    total=0,
                )
            )
            return self.values_list("fence", flat=True).get(mailbox_id=mailbox_pk) if claimed else None

    def running(self, now: datetime) -> Self:
        return self.filter(leased_until__gt=now)

    def holding(self, mailbox_pk: int, fence: int) -> Self:
        """The row, only while `fence` is still the newest claim. Every write of a sync goes through this."""
        return self.filter(mailbox_id=mailbox_pk, fence=fence)


class SyncSchedule(models.Model):
    """When a mailbox is due, who works on it, and how far that is. The row is the truth, the queue a nudge.

    fence:          grows with each claim; a worker whose number is old changes nothing any more.
    requested_at:   when a person last asked for a sync that has not ended yet.
    total and done: messages of the present run, over all folders; rate and time left are derived.
    """

    mailbox = models.OneToOneField(Mailbox, models.CASCADE, primary_key=True, related_name="schedule")
    due_at = models.DateTimeField(db_index=True)
    requested_at = models.DateTimeField(null=True, blank=True)
    fence = models.PositiveBigIntegerField(default=0)
    leased_until = models.DateTimeField(null=True, blank=True)
    holder = models.CharField(max_length=200, blank=True, help_text="The process that made the newest claim.")
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True, help_text="End of the last run that came through.")
    folder_name = models.CharField(max_length=255, blank=True)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    arrived = models.PositiveIntegerField(default=0, help_text="New messages that the last finished run brought.")
    failures = models.PositiveIntegerField(default=0, help_text="Runs in a row that ended in an error.")
    waiting_for = models.CharField(max_length=300, blank=True, help_text="Why it waits, in words; empty: it does not.")

    objects = SyncScheduleQuerySet.as_manager()

    class Meta:
        indexes = [
            # A few rows of thousands: as many as there are workers.
            models.Index(fields=["leased_until"], condition=Q(leased_until__isnull=False), name="schedule_leased")
        ]

    def __str__(self) -> str:
        return f"Schedule of {self.mailbox}"

    def is_running(self, now: datetime) -> bool:
        return self.leased_until is not None and self.leased_until > now


class SyncRun(models.Model):
    """A sync that ended, for people who want to know what happened; nothing decides by it.

    Syncs in a row that ended alike and brought nothing are one row: `count` of them, from the first start to the last
    end. So a mailbox gets rows as things happen, not as time passes.
    """

    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="sync_runs", db_index=False)  # the index leads
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    came_through = models.BooleanField()
    arrived = models.PositiveIntegerField(default=0, help_text="New messages.")
    words = models.CharField(max_length=300, help_text="How it ended.")
    count = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ["-ended_at", "-pk"]
        indexes = [models.Index(fields=["mailbox", "-ended_at", "-id"], name="sync_run_newest_first")]

    def __str__(self) -> str:
        return f"{self.mailbox}: {self.words}"


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


class ConversationQuerySet(models.QuerySet["Conversation"]):
    def readable_by(self, user: User, now: datetime) -> Self:
        return self.filter(mailbox__in=Mailbox.objects.readable_by(user, now))


class Conversation(models.Model):
    """Messages of one mailbox that answer each other (RFC 5322, 3.6.4)."""

    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="conversations")
    subject = models.CharField(max_length=500, blank=True)
    last_at = models.DateTimeField()

    objects = ConversationQuerySet.as_manager()

    def __str__(self) -> str:
        return self.subject or "(no subject)"


class ThreadKey(models.Model):
    """A Message-ID that belongs to a conversation: its own messages' and all that they refer to.

    Newest first means that answers are stored before what they answer; the key waits for it.
    """

    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="+", db_index=False)  # the constraint leads
    key = models.CharField(max_length=64, help_text="Hash of the Message-ID.")
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="keys")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mailbox", "key"], name="one_conversation_per_message_id")]

    def __str__(self) -> str:
        return self.key


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

    received_at:    INTERNALDATE, the order of every list; `date` is what the header claims.
    pack, offset, stored_size: where the untouched octets lie (see `mailstore/packs.py`).
    """

    # Each key leads an index or a constraint below; one more of its own would only slow the writer.
    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="messages", db_index=False)
    folder = models.ForeignKey(Folder, models.CASCADE, related_name="messages", db_index=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="messages", db_index=False)
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


class Listing(models.Model):
    """A conversation as one folder's list shows it. Kept by the writer, so that the list is one keyset query."""

    folder = models.ForeignKey(Folder, models.CASCADE, related_name="listings", db_index=False)  # the constraint leads
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="listings")
    newest = models.ForeignKey(Message, models.CASCADE, related_name="+")
    last_at = models.DateTimeField()
    message_count = models.PositiveIntegerField()
    unread_count = models.PositiveIntegerField()
    senders = models.CharField(max_length=320, blank=True, help_text="Short names, newest last.")
    has_attachments = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["folder", "conversation"], name="one_listing_per_folder")]
        indexes = [
            models.Index(fields=["folder", "-last_at", "-id"], name="listing_newest_first"),
            models.Index(fields=["folder"], condition=Q(unread_count__gt=0), name="listing_unread"),
        ]

    def __str__(self) -> str:
        return f"{self.conversation} in {self.folder}"


class Arrival(models.Model):
    """A message that came after the first import; written with it, handled once by whoever works on new mail."""

    message = models.OneToOneField(Message, models.CASCADE, related_name="arrival")
    at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"Arrival of {self.message_id}"


class MailHost(models.Model):
    """What syncs have learned of an IMAP server: whether it answers, and when one may try again (fault R26).

    name:       as it stands in the mailboxes; the row LANES is only there to be locked.
    reached_at: when it last answered.
    failures:   tries in a row that found it silent; 0 while it answers.
    retry_at:   before this moment nobody tries; None: one may.
    busy_until: a try is under way, or rests: until then a lane is taken.
    words:      what its mailboxes wait for, as their cards say it; empty while it answers.
    """

    LANES: Final = "*"

    name = models.CharField(max_length=253, unique=True)
    reached_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField(null=True, blank=True)
    busy_until = models.DateTimeField(null=True, blank=True)
    words = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return self.name


class WatcherQuerySet(models.QuerySet["Watcher"]):
    def take(self, holder: str, now: datetime, *, watching: int, wanted: int) -> bool:
        """Become the watcher, or stay it; False while another one lives."""
        self.get_or_create(pk=Watcher.ONLY, defaults={"holder": holder, "started_at": now, "seen_at": now})
        mine = self.filter(pk=Watcher.ONLY, holder=holder)
        if mine.update(seen_at=now, watching=watching, wanted=wanted):
            return True
        gone = self.filter(pk=Watcher.ONLY, seen_at__lte=now - Watcher.GONE_AFTER)
        return gone.update(holder=holder, started_at=now, seen_at=now, watching=watching, wanted=wanted) > 0

    def leave(self, holder: str) -> None:
        """Let the next one begin at once."""
        self.filter(pk=Watcher.ONLY, holder=holder).delete()


class Watcher(models.Model):
    """The process that waits for news on all mailboxes, as it was last seen. There is at most one row.

    A second process waits until the first has not been seen for a while, and takes over.

    holder:   names the process.
    watching: mailboxes on which it waits for news; `wanted` is on how many it should.
    """

    ONLY: Final = 1
    GONE_AFTER: Final = timedelta(seconds=30)

    holder = models.CharField(max_length=200)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    watching = models.PositiveIntegerField(default=0)
    wanted = models.PositiveIntegerField(default=0)

    objects = WatcherQuerySet.as_manager()

    def __str__(self) -> str:
        return self.holder

    def is_alive(self, now: datetime) -> bool:
        return now - self.seen_at < self.GONE_AFTER
