"""Outgoing mail: a row per message and per recipient before anything is sent, and a row per attempt (spec I1, I2)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.db.models import F, Q

from accounts.models import Mailbox
from accounts.rights import Right
from mailstore.models import Message
from organizations.models import Organization, User
from organizations.operations import Operation

LEASE = timedelta(minutes=15)  # above the ten minutes a server may take to answer the final dot (RFC 5321, 4.5.3.2.6)


class State(models.TextChoices):
    QUEUED = "queued", "Queued"
    SENDING = "sending", "Sending"
    SENT = "sent", "Sent"
    FAILED = "failed", "Failed"
    UNCERTAIN = "uncertain", "Possibly sent"
    CANCELLED = "cancelled", "Cancelled"


class SentCopy(models.TextChoices):
    """Where the copy in the Sent folder stands; its own task, once (spec I6)."""

    NOT_WANTED = "not_wanted", "Not wanted"
    WAITING = "waiting", "Waiting"
    FILED = "filed", "Filed"
    FAILED = "failed", "Failed"


class OutboxMessageQuerySet(models.QuerySet["OutboxMessage"]):
    def visible_to(self, user: User, now: datetime) -> Self:
        """The log of a user: what the user wrote, what left mailboxes the user may read, or all with the operation."""
        mine = self.filter(organization_id=user.organization_id)
        if user.may(Operation.VIEW_EMAIL_LOGS):
            return mine
        readable = Mailbox.objects.allowing(Right.ACCESS, user, now)
        return mine.filter(Q(author=user) | Q(mailbox__in=readable))


class OutboxMessage(models.Model):
    """A message on its way out. Its octets are frozen when it is queued; every attempt sends the same Message-ID."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="outbox_messages")
    mailbox = models.ForeignKey(Mailbox, models.SET_NULL, null=True, related_name="outbox_messages")
    author = models.ForeignKey(User, models.SET_NULL, null=True, related_name="outbox_messages")
    answers = models.ForeignKey(Message, models.SET_NULL, null=True, blank=True, related_name="+")
    resend_of = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="resends")
    submission_key = models.CharField(max_length=64, help_text="One submission per form (spec I4).")
    sender = models.EmailField(max_length=320, help_text="Envelope sender.")
    from_header = models.CharField(max_length=500)
    to_header = models.TextField(blank=True)
    subject = models.CharField(max_length=998, blank=True)
    message_id = models.CharField(max_length=250, db_index=True)
    raw = models.BinaryField()
    size = models.PositiveBigIntegerField()
    attachment_count = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_copy = models.CharField(max_length=12, choices=SentCopy, default=SentCopy.NOT_WANTED)
    sent_copy_note = models.CharField(max_length=500, blank=True)

    objects = OutboxMessageQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["organization", "-created_at", "-id"], name="outbox_newest_first")]
        constraints = [
            models.UniqueConstraint(fields=["author", "submission_key"], name="one_message_per_submission"),
        ]

    def __str__(self) -> str:
        return self.subject or "(no subject)"


class OutboxRecipientQuerySet(models.QuerySet["OutboxRecipient"]):
    def due(self, now: datetime) -> Self:
        return self.filter(state=State.QUEUED, not_before__lte=now)

    def claim(self, message_pk: int, claim: int, now: datetime) -> bool:
        """Take the due recipients of one message under the fencing number `claim`; False when there are none."""
        taken = self.due(now).filter(message_id=message_pk)
        return taken.update(state=State.SENDING, claim=claim, claimed_at=now) > 0

    def settle(self, claim: int, addresses: list[str], state: State, reply: str = "") -> int:
        """Record an outcome; the rows changed: 0 when a newer claim has taken over."""
        mine = self.filter(claim=claim, address__in=addresses, state=State.SENDING)
        return mine.update(state=state, last_reply=reply)

    def requeue(self, claim: int, addresses: list[str], *, not_before: datetime, reply: str) -> int:
        mine = self.filter(claim=claim, address__in=addresses, state=State.SENDING)
        return mine.update(state=State.QUEUED, not_before=not_before, last_reply=reply, tries=F("tries") + 1)

    def past_lease(self, now: datetime) -> Self:
        return self.filter(state=State.SENDING, claimed_at__lte=now - LEASE)


class OutboxRecipient(models.Model):
    """One address of a message on its way to the submission server (RFC 6409)."""

    message = models.ForeignKey(OutboxMessage, models.CASCADE, related_name="recipients")
    address = models.EmailField(max_length=320)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    not_before = models.DateTimeField()
    expires_at = models.DateTimeField(help_text="When retrying ends and it counts as failed (48 h).")
    tries = models.PositiveSmallIntegerField(default=0)
    claim = models.PositiveBigIntegerField(default=0)
    claimed_at = models.DateTimeField(null=True, blank=True)
    last_reply = models.TextField(blank=True)

    objects = OutboxRecipientQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["message", "address"], name="one_row_per_recipient")]
        indexes = [
            models.Index(fields=["not_before"], condition=Q(state="queued"), name="recipient_due"),
            models.Index(fields=["claimed_at"], condition=Q(state="sending"), name="recipient_claimed"),
        ]

    def __str__(self) -> str:
        return self.address


class Attempt(models.Model):
    """One conversation with a submission server, written before the octets leave (spec I2).

    claim:        the fencing number; also the key under which recipients were taken.
    final_dot_at: committed just before the last octets leave. With it and without an outcome: uncertain.
    """

    message = models.ForeignKey(OutboxMessage, models.CASCADE, related_name="attempts")
    server = models.CharField(max_length=260, help_text="host:port")
    started_at = models.DateTimeField()
    final_dot_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    phase = models.CharField(max_length=20, blank=True, help_text="Where it ended: login, MAIL, RCPT, DATA...")
    code = models.PositiveSmallIntegerField(default=0)
    enhanced_code = models.CharField(max_length=12, blank=True)
    text = models.TextField(blank=True)
    tls = models.CharField(max_length=20, blank=True)
    explanation = models.JSONField(null=True, blank=True, help_text="The doctor's diagnosis, where it failed.")

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"Attempt {self.pk} at {self.server}"

    @property
    def claim(self) -> int:
        """The primary key serves as the fencing number: it only grows."""
        return self.pk
