"""Outgoing mail: a row per message and per recipient before anything is sent, and a row per attempt (spec I1, I2)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models, transaction
from django.db.models import BinaryField, Exists, F, Func, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce, Least

from accounts.models import Mailbox
from delivery import log_words
from delivery.models.routes import Route
from delivery.senders import SenderStep
from delivery.states import MOVES, Automatic, Bounce, IllegalMove, Kind, Origin, Priority, SentCopy, State
from mailstore.models import Message
from organizations.models import Organization, User
from organizations.operations import Operation

PIECE = 2 * 1024 * 1024  # octets that are read at once
LEASE = timedelta(minutes=15)  # above the ten minutes a server may take to answer the final dot (RFC 5321, 4.5.3.2.6)
RENEWED_AFTER = timedelta(minutes=1)
FIRST_LOOK = timedelta(minutes=1)  # after the outcome was lost
RETRY_PERIOD = timedelta(hours=48)
NOTICE_RETRY_PERIOD = timedelta(hours=1)  # then account mail takes it


class OutboxMessageQuerySet(models.QuerySet["OutboxMessage"]):
    def visible_to(self, user: User, now: datetime) -> Self:
        """The log of a user: what the user wrote, what left mailboxes the user may read, or all with the operation."""
        mine = self.filter(organization_id=user.organization_id)
        if user.token is not None and user.token.only_mailboxes:
            mine = mine.filter(mailbox__in=Mailbox.objects.in_organization_of(user))
        if user.may(Operation.VIEW_EMAIL_LOGS):
            return mine
        readable = Mailbox.objects.readable_by(user, now)
        return mine.filter(Q(author=user) | Q(mailbox__in=readable))

    def scheduled(self) -> Self:
        """What waits for the moment that its author chose; nothing of it has been tried."""
        return self.filter(~Exists(Attempt.objects.filter(message=OuterRef("pk"))), scheduled_for__isnull=False)

    def bulk_create(self, objs: Iterable[OutboxMessage], *args: Any, **kwargs: Any) -> list[OutboxMessage]:
        """New rows and their octets are written together, or none of them."""
        objs = list(objs)
        for new in objs:
            new.note_words()
        with transaction.atomic(savepoint=False):
            written = super().bulk_create(objs, *args, **kwargs)
            octets = [OutboxOctets(message=one, raw=one._raw) for one in written if one._raw is not None]
            OutboxOctets.objects.bulk_create(octets)
        return written

    def claim_copy(self, pk: int, now: datetime) -> int | None:
        """Take the filing of one sent copy; return the fencing number, or None where another worker has it."""
        waiting = self.filter(pk=pk, sent_copy=SentCopy.WAITING, sent_copy_not_before__lte=now)
        taken = waiting.update(
            sent_copy=SentCopy.FILING, sent_copy_claimed_at=now, sent_copy_tries=F("sent_copy_tries") + 1
        )
        return self.values_list("sent_copy_tries", flat=True).get(pk=pk) if taken else None

    def want_copy(self, now: datetime) -> int:
        """Something was sent: from now on a copy that is wanted may be filed."""
        return self.filter(sent_copy=SentCopy.WAITING, sent_copy_not_before=None).update(sent_copy_not_before=now)

    def filing(self, pk: int, claim: int) -> Self:
        """The row, only while `claim` is still the newest filing."""
        return self.filter(pk=pk, sent_copy=SentCopy.FILING, sent_copy_tries=claim)

    def keep_filing(self, pk: int, claim: int, now: datetime) -> bool:
        """Renew the lease of a filing that goes on; False where another one has taken over."""
        return bool(self.filing(pk, claim).update(sent_copy_claimed_at=now))


class OctetsGone(LookupError):
    """The octets of a message are no longer kept; its row still tells what became of it."""


class OutboxMessage(models.Model):
    """A message on its way out. Its octets are frozen when it is queued; every attempt sends the same Message-ID.

    They lie in a row of their own, `OutboxOctets`: a list reads thousands of these rows, and each change of one writes
    it anew. `raw` reads them when they are asked for, and takes those of a row that is to be written.

    content_digest: what was asked for under `submission_key`, so that a second request with other content is told.
    has_null_sender: it leaves with the null reverse-path (RFC 5321, 4.5.5), so that nothing comes back.
    scheduled_for:  the moment its author chose; None: as soon as it can.
    undo_until:     until then nothing leaves, so that its author may take it back; None: nobody was offered that.

    Both are for people to read: what holds a recipient back is its `not_before` alone.
    was_queued_before: no column; set where a repeated submission was answered with this row.
    suppressed: no column; set where it has just been written: the recipients who get nothing.
    """

    was_queued_before = False
    suppressed: frozenset[str] = frozenset()

    organization = models.ForeignKey(Organization, models.CASCADE, db_index=False, related_name="outbox_messages")
    mailbox = models.ForeignKey(Mailbox, models.SET_NULL, null=True, db_index=False, related_name="outbox_messages")
    author = models.ForeignKey(User, models.SET_NULL, null=True, db_index=False, related_name="outbox_messages")
    answers = models.ForeignKey(Message, models.SET_NULL, null=True, blank=True, related_name="+")
    resend_of = models.ForeignKey("self", models.SET_NULL, null=True, blank=True, related_name="resends")
    origin = models.CharField(max_length=10, choices=Origin, default=Origin.PERSON)
    priority = models.PositiveSmallIntegerField(choices=Priority, default=Priority.PERSON)
    automatic = models.CharField(max_length=10, choices=Automatic, blank=True)
    has_null_sender = models.BooleanField(default=False)
    submission_key = models.CharField(max_length=64, help_text="One submission per form (spec I4).")
    content_digest = models.CharField(max_length=64)
    sender = models.EmailField(max_length=320, help_text="Envelope sender.")
    from_header = models.CharField(max_length=500)
    sender_step = models.CharField(
        max_length=15, choices=SenderStep, default=SenderStep.CHOSEN, help_text="What From was taken from (spec B7)."
    )
    to_header = models.TextField(blank=True)
    subject = models.CharField(max_length=998, blank=True)
    subject_words = models.TextField(editable=False, default="", help_text="What the log is searched by.")
    recipient_words = models.TextField(editable=False, default="", help_text="Those of all recipients, blind ones too.")
    message_id = models.CharField(max_length=250, db_index=True)
    size = models.PositiveBigIntegerField()
    attachment_count = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    scheduled_for = models.DateTimeField(null=True, blank=True)
    undo_until = models.DateTimeField(null=True, blank=True)
    sent_copy = models.CharField(max_length=12, choices=SentCopy, default=SentCopy.NOT_WANTED)
    sent_copy_note = models.CharField(max_length=500, blank=True, help_text="Why there is none yet, in words.")
    sent_copy_not_before = models.DateTimeField(null=True, blank=True, help_text="Null: nothing was sent yet.")
    sent_copy_claimed_at = models.DateTimeField(null=True, blank=True)
    sent_copy_tries = models.PositiveSmallIntegerField(default=0, help_text="Also the fencing number of the filing.")
    sent_copy_failures = models.PositiveSmallIntegerField(
        db_default=0, help_text="Filings in a row that the server did not take."
    )

    _raw: bytes | None = None  # of a row that was just made, or once they were read

    objects = OutboxMessageQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["organization", "-created_at", "-id"], name="outbox_newest_first"),
            # The lists that a search of the log may be led by, each in the order of the keys (`log_keys`).
            models.Index(fields=["organization", "id"], name="log_of_organization"),
            models.Index(fields=["organization", "origin", "id"], name="log_of_origin"),
            models.Index(fields=["mailbox", "id"], name="log_of_mailbox"),
            models.Index(fields=["author", "id"], name="log_of_author"),
            models.Index(fields=["author", "undo_until"], condition=Q(undo_until__isnull=False), name="outbox_undo"),
            models.Index(
                fields=["organization", "scheduled_for"],
                condition=Q(scheduled_for__isnull=False),
                name="outbox_scheduled",
            ),
            models.Index(
                fields=["sent_copy_not_before"], condition=Q(sent_copy__in=["waiting", "filing"]), name="copy_due"
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["author", "submission_key"], name="one_message_per_submission"),
            models.UniqueConstraint(
                fields=["submission_key"], condition=Q(origin=Origin.NOTICE), name="one_notice_mail_per_submission"
            ),
        ]

    def __str__(self) -> str:
        return self.subject or "(no subject)"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """A new row and its octets are written together, or neither."""
        if self._state.adding:
            self.note_words()
        if self._state.adding and self._raw is not None:
            with transaction.atomic(savepoint=False):
                super().save(*args, **kwargs)
                OutboxOctets.objects.create(message=self, raw=self._raw)
        else:
            super().save(*args, **kwargs)

    def note_words(self, blind: Iterable[str] = ()) -> None:
        """Note what a new row is found by. blind: addresses that stand in no field of its header."""
        if blind or not self.recipient_words:
            self.subject_words = log_words.line(self.subject)
            self.recipient_words = log_words.recipient_line(self.to_header, blind)

    @property
    def envelope_sender(self) -> str:
        """The reverse-path of MAIL FROM."""
        return "" if self.has_null_sender else self.sender

    @property
    def raw(self) -> bytes:
        """The octets as they are handed over; `select_related("octets")` reads them with the row.

        Raises OctetsGone where they are no longer kept.
        """
        if self._raw is None:
            try:
                self._raw = bytes(self.octets.raw)
            except OutboxOctets.DoesNotExist as exc:
                raise OctetsGone(f"The octets of message {self.pk} are no longer kept.") from exc
        return self._raw

    @raw.setter
    def raw(self, octets: bytes) -> None:
        self._raw = bytes(octets)


class OutboxOctetsQuerySet(models.QuerySet["OutboxOctets"]):
    def in_pieces(self, message_pk: int) -> bytes:
        """The octets of one message, nothing where they are gone. PostgreSQL writes octets as hexadecimal digits: a
        large message would lie in memory three times over.
        """
        pieces: list[bytes] = []
        while not pieces or len(pieces[-1]) == PIECE:
            cut = Func(
                "raw", Value(len(pieces) * PIECE + 1), Value(PIECE), function="SUBSTR", output_field=BinaryField()
            )
            piece = self.filter(message=message_pk).values_list(cut, flat=True).first()
            pieces.append(bytes(piece or b""))
        return b"".join(pieces)


class OutboxOctets(models.Model):
    """What goes over the wire for one message; frozen, and let go earlier than the row (see `retention`)."""

    message = models.OneToOneField(OutboxMessage, models.CASCADE, primary_key=True, related_name="octets")
    raw = models.BinaryField()

    objects = OutboxOctetsQuerySet.as_manager()

    def __str__(self) -> str:
        return f"Octets of message {self.pk}"


ENDINGS = frozenset({State.FAILED, State.CANCELLED})  # what says that it reached nobody
PROVEN = frozenset({State.SENT, State.BOUNCED})  # what says that it left
LONGEST_NOTE = 500
AFTER_LOST_ANSWER = "But the answer to an earlier attempt was lost, so it may have been sent in that one."


@dataclass(frozen=True, slots=True)
class Ended:
    """How many recipients an end has come to. settled: for good; unsure: uncertain, since it may have left before."""

    settled: int = 0
    unsure: int = 0

    def __add__(self, other: Ended) -> Ended:
        return Ended(self.settled + other.settled, self.unsure + other.unsure)

    @property
    def total(self) -> int:
        return self.settled + self.unsure


class OutboxRecipientQuerySet(models.QuerySet["OutboxRecipient"]):
    def move(self, origin: State, to: State, now: datetime, **changes: object) -> int:
        """Take the rows that are in `origin` to `to`; return how many. The one way in which a state changes.

        What may have left is neither failed nor cancelled by it: see `end`.
        """
        if to not in MOVES[origin]:
            raise IllegalMove(f"{origin} does not lead to {to}.")
        mine = self.filter(state=origin)
        if to in ENDINGS:
            mine = mine.filter(may_have_left_in=None)
        elif to in PROVEN:
            changes["may_have_left_in"] = None
        elif to is State.UNCERTAIN:
            changes["look_at"] = now + FIRST_LOOK
        elif origin is State.UNCERTAIN:
            changes["may_have_left_in"] = Coalesce("may_have_left_in", "claim")
        return mine.update(state=to, state_at=now, **changes)

    def end(
        self, origin: State, to: State, now: datetime, *, note: str, reply: str | None = None, **changes: object
    ) -> Ended:
        """Fail or cancel those in `origin`, with a note of ours and, where there is one, the server's reply.

        Who may have got it in an earlier attempt becomes uncertain again, with both in the note.
        changes: of those for whom it is the end.
        """
        replied = {} if reply is None else {"last_reply": reply}
        settled = self.move(origin, to, now, note=note[:LONGEST_NOTE], **replied, **changes)
        both = f"{note[: LONGEST_NOTE - len(AFTER_LOST_ANSWER) - 1]} {AFTER_LOST_ANSWER}"
        unsure = self.filter(may_have_left_in__isnull=False)
        return Ended(settled, unsure.move(origin, State.UNCERTAIN, now, note=both, **replied))

    def due(self, now: datetime) -> Self:
        return self.filter(state=State.QUEUED, not_before__lte=now)

    def claim(self, message_pk: int, claim: int, now: datetime) -> int:
        """Take the due recipients of one message under the fencing number `claim`; 0 when there are none."""
        mine = self.due(now).filter(message_id=message_pk)
        return mine.move(State.QUEUED, State.SENDING, now, claim=claim, claimed_at=now)

    def held(self, claim: int) -> Self:
        """The recipients that are being sent under `claim`: none once a newer claim or the sweeper has taken over."""
        return self.filter(claim=claim, state=State.SENDING)

    def settle(
        self, claim: int, addresses: Iterable[str], state: State, now: datetime, *, reply: str = "", note: str = ""
    ) -> int:
        """Record an outcome; the rows changed: 0 when a newer claim has taken over."""
        mine = self.held(claim).filter(address__in=list(addresses))
        return mine.move(State.SENDING, state, now, last_reply=reply, note=note)

    def requeue(
        self,
        claim: int,
        addresses: Iterable[str],
        now: datetime,
        *,
        not_before: datetime | Least,
        reply: str = "",
        note: str = "",
        counts: bool = True,
        waits_for_way: bool = False,
    ) -> int:
        """Give them back for a later try. `counts`: whether this was a try, for the back-off."""
        mine = self.held(claim).filter(address__in=list(addresses))
        tries = F("tries") + 1 if counts else F("tries")
        return mine.move(
            State.SENDING,
            State.QUEUED,
            now,
            not_before=not_before,
            last_reply=reply,
            note=note,
            tries=tries,
            waits_for_way=waits_for_way,
        )

    def claim_for(self, attempts: Collection[Attempt], now: datetime) -> int:
        """Take the due recipients of several messages, each under the attempt that has just been written for it."""
        newest = Attempt.objects.filter(message=OuterRef("message"), pk__in=[attempt.pk for attempt in attempts])
        mine = self.due(now).filter(message__in=[attempt.message_id for attempt in attempts])
        return mine.move(State.QUEUED, State.SENDING, now, claim=Subquery(newest.values("pk")[:1]), claimed_at=now)

    def past_lease(self, now: datetime) -> Self:
        return self.filter(state=State.SENDING, claimed_at__lte=now - LEASE)


class OutboxRecipient(models.Model):
    """One address of a message on its way to the submission server (RFC 6409).

    claim:      the primary key of the attempt that took it last; 0 before the first.
    note:       our sentence on where it stands; `last_reply` holds the server's own words.
    expires_at: when retrying ends and it counts as failed.
    bounce, bounce_reason: of one that came back, "" for all others; the reason is one of `reports.Reason`.
    report:     the message that told so, as long as it is stored.
    look_at:    while it is uncertain, when it is looked for next; None: no more by itself.
    may_have_left_in: the claim under which it was uncertain when it was queued again nevertheless; until it is proved
                that it left. Such a one never reads failed or cancelled.
    was_retried_uncertain: it was queued again by itself, since its mailbox wants that; that happens once.
    waits_for_way: while it is queued, that it is not due for its way out alone, not for anything of its own.
    """

    message = models.ForeignKey(OutboxMessage, models.CASCADE, related_name="recipients")
    address = models.EmailField(max_length=320)
    kind = models.CharField(max_length=3, choices=Kind, default=Kind.TO)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    state_at = models.DateTimeField()
    not_before = models.DateTimeField()
    expires_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)
    claim = models.PositiveBigIntegerField(default=0)
    claimed_at = models.DateTimeField(null=True, blank=True)
    note = models.CharField(max_length=500, blank=True)
    last_reply = models.TextField(blank=True)
    bounce = models.CharField(max_length=4, choices=Bounce, blank=True)
    bounce_reason = models.CharField(max_length=20, blank=True)
    report = models.ForeignKey(Message, models.SET_NULL, null=True, blank=True, related_name="+")
    look_at = models.DateTimeField(null=True, blank=True)
    may_have_left_in = models.PositiveBigIntegerField(null=True, blank=True)
    was_retried_uncertain = models.BooleanField(default=False)
    waits_for_way = models.BooleanField(db_default=False)

    objects = OutboxRecipientQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        constraints = [models.UniqueConstraint(fields=["message", "address"], name="one_row_per_recipient")]
        indexes = [
            models.Index(fields=["not_before"], condition=Q(state="queued"), name="recipient_due"),
            models.Index(fields=["claimed_at"], condition=Q(state="sending"), name="recipient_claimed"),
            models.Index(fields=["state", "state_at"], name="recipient_by_state"),
            models.Index(fields=["look_at"], condition=Q(state="uncertain"), name="recipient_to_look_for"),
            models.Index(fields=["state", "message"], condition=~Q(state="sent"), name="log_of_state"),
        ]

    def __str__(self) -> str:
        return self.address


class AttemptQuerySet(models.QuerySet["Attempt"]):
    def begin(self, message_pk: int, now: datetime) -> Attempt | None:
        """Write the attempt and take the due recipients under it, both or neither; None when nothing is due."""
        if not OutboxRecipient.objects.due(now).filter(message_id=message_pk).exists():
            return None
        with transaction.atomic():
            attempt = self.create(message_id=message_pk, started_at=now)
            if OutboxRecipient.objects.claim(message_pk, attempt.claim, now):
                return attempt
            transaction.set_rollback(True)
        return None


class Attempt(models.Model):
    """One conversation with a submission server, written before the octets leave (spec I2).

    It is open as long as its claim holds: whoever takes the recipients away ends it in the same transaction.

    final_dot_at: committed just before the last octets leave. With it and without an outcome: uncertain.
    replies:      [{address, code, text}], where recipients got answers of their own.
    was_lost:     the worker vanished in the middle of it.
    route:        whose limits it counts against, from `started_at` on.
    slot:         the connection it was claimed for, with others before and after it; 0: for none.
    detour:       why it did not go through the mailbox's own server; empty where it did.
    """

    message = models.ForeignKey(OutboxMessage, models.CASCADE, related_name="attempts")
    server = models.CharField(max_length=260, blank=True, help_text="host:port")
    started_at = models.DateTimeField()
    final_dot_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    was_lost = models.BooleanField(default=False)
    phase = models.CharField(max_length=20, blank=True, help_text="Where it ended: login, MAIL, RCPT, DATA...")
    code = models.PositiveSmallIntegerField(default=0)
    enhanced_code = models.CharField(max_length=12, blank=True)
    text = models.TextField(blank=True)
    replies = models.JSONField(default=list)
    tls = models.CharField(max_length=20, blank=True)
    explanation = models.JSONField(null=True, blank=True, help_text="The doctor's diagnosis, where it failed.")
    route = models.ForeignKey(Route, models.SET_NULL, null=True, related_name="attempts", db_index=False)
    slot = models.PositiveBigIntegerField(default=0)
    detour = models.CharField(max_length=500, blank=True)

    objects = AttemptQuerySet.as_manager()

    class Meta:
        ordering = ["pk"]
        indexes = [models.Index(fields=["route", "started_at"], name="attempts_of_a_login")]

    def __str__(self) -> str:
        return f"Attempt {self.pk} at {self.server}"

    @property
    def claim(self) -> int:
        """The primary key serves as the fencing number: it only grows."""
        return self.pk

    @property
    def was_taken(self) -> bool:
        return 200 <= self.code < 300

    @property
    def milliseconds(self) -> int | None:
        return None if self.ended_at is None else round((self.ended_at - self.started_at).total_seconds() * 1000)

    def mark_final_dot(self, now: datetime) -> bool:
        """Commit the mark after which the outcome may be unknown; False: the claim was lost.

        One conditional update of this row, which the sweeper locks before it decides: either it sees the mark, or this
        sees that the attempt was ended. The lease is renewed where the claim is no longer young.
        """
        if not Attempt.objects.filter(pk=self.pk, ended_at=None).update(final_dot_at=now):
            return False
        self.final_dot_at = now
        self.renew_lease(now)
        return True

    def renew_lease(self, now: datetime) -> None:
        """From the final dot on the server may take its time (RFC 5321, 4.5.3.2.6)."""
        if now - self.started_at > RENEWED_AFTER:
            OutboxRecipient.objects.held(self.claim).update(claimed_at=now)


class LoginRefusal(models.Model):
    """Credentials that a submission server refused, so that they are not offered again and again (spec D4).

    A mailbox has a row for its own login; a mail server has one for all mailboxes behind it. `fingerprint` names the
    credentials without telling them: others count from zero.
    """

    key = models.CharField(max_length=40, unique=True, help_text='"mailbox 12" or "server 3"')
    fingerprint = models.CharField(max_length=64)
    count = models.PositiveSmallIntegerField(default=0)
    last_at = models.DateTimeField()
    reply = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"{self.key}: refused {self.count} times"
