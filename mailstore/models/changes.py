"""Changes that readers made and the server is still to be told of: rows, and whose turn it is (spec G5; R32, R33)."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final, Self

from django.db import models, transaction
from django.db.models import F, Q

from accounts.models import Mailbox
from mailstore.models.folders import Folder
from mailstore.models.messages import Message
from organizations.models import User

#: The UIDVALIDITY of a message whose place on the server is under way or unknown; no server may use it (RFC 9051,
#: 2.3.1.1). Its UID is then its own key. No sync finds such a message, so none hides or doubles it.
UNPLACED: Final = 0

LEASE: Final = timedelta(minutes=5)  # renewed before each folder; longer than any answer a server may take


class ChangeQuerySet(models.QuerySet["Change"]):
    def open(self) -> Self:
        """What is not settled yet."""
        return self.filter(state__in=Change.OPEN)

    def wishes(self, messages: Collection[int], asked_at: datetime) -> dict[int, dict[str, bool]]:
        """Columns by message that a sync leaves alone: what the server was asked at `asked_at` is older than them."""
        recent = Q(state__in=Change.OPEN) | Q(state=Change.State.DONE, settled_at__gte=asked_at)
        rows = self.filter(recent, message__in=messages, kind__in=Change.COLUMNS).order_by("pk")
        found: dict[int, dict[str, bool]] = {}
        for message, kind, wanted in rows.values_list("message_id", "kind", "wanted"):
            found.setdefault(message, {})[Change.COLUMNS[Change.Kind(kind)]] = wanted
        return found

    def note_server(self, message_pk: int, columns: Mapping[str, bool]) -> None:
        """Remember what the server says of flags that a reader has changed, should it refuse the change."""
        kinds = {column: kind for kind, column in Change.COLUMNS.items()}
        for column, was in columns.items():
            self.open().filter(message=message_pk, kind=kinds[column]).update(was=was)

    def refused_for(self, user: User) -> Self:
        """What `user` asked for in vain and was not told of yet, newest first."""
        untold = self.filter(by=user, state=Change.State.REFUSED, told_at=None)
        return untold.select_related("message", "target").order_by("-settled_at", "-pk")


class Change(models.Model):
    """One wish about one message. The screen shows it at once; this row says that the server does not know it yet.

    batch:     names the action it was part of. A reader who changes her mind gives an open row a new one, and what a
               worker finds out about the old one no longer settles it.
    wanted:    of a flag: whether it shall stand. was: whether it stands on the server, as far as we know.
    source, uidvalidity, uid: of a place: where the message lies on the server.
    target:    of a place: where it shall lie; None: nowhere, it is removed for good.
    came_from: of a place: the folder in which the reader saw it.
    sent_to:   of a place that is MOVING or COPIED: the folder that the command named; None: it is being removed. The
               reader may want something else by now; what was begun is ended first.
    target_uidvalidity, target_uidnext: of that folder just before the command: what we put there has this UID or a
               higher one. new_uid: the one it has.
    problem:   why the server was not changed, as a sentence.
    """

    class Kind(models.TextChoices):
        SEEN = "seen"
        FLAGGED = "flagged"
        PLACE = "place"

    class State(models.TextChoices):
        WAITING = "waiting"
        MOVING = "moving"  # a command was sent, or is about to be
        COPIED = "copied"  # it lies in both folders; the original is still to be removed
        DONE = "done"
        REFUSED = "refused"

    OPEN: Final = (State.WAITING, State.MOVING, State.COPIED)
    COLUMNS: Final = {Kind.SEEN: "is_seen", Kind.FLAGGED: "is_flagged"}

    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="changes", db_index=False)  # an index leads
    message = models.ForeignKey(Message, models.CASCADE, related_name="changes")
    kind = models.CharField(max_length=10, choices=Kind)
    batch = models.UUIDField(default=uuid.uuid4, db_index=True)
    by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    settled_at = models.DateTimeField(null=True, blank=True)
    problem = models.CharField(max_length=400, blank=True)
    told_at = models.DateTimeField(null=True, blank=True, help_text="When the reader had enough of the problem.")

    wanted = models.BooleanField(default=False)
    was = models.BooleanField(default=False)

    source = models.ForeignKey(Folder, models.CASCADE, null=True, blank=True, related_name="+")
    uidvalidity = models.PositiveBigIntegerField(default=UNPLACED)
    uid = models.PositiveBigIntegerField(default=0)
    target = models.ForeignKey(Folder, models.CASCADE, null=True, blank=True, related_name="+")
    came_from = models.ForeignKey(Folder, models.CASCADE, null=True, blank=True, related_name="+")
    sent_to = models.ForeignKey(Folder, models.CASCADE, null=True, blank=True, related_name="+")
    target_uidvalidity = models.PositiveBigIntegerField(default=UNPLACED)
    target_uidnext = models.PositiveBigIntegerField(default=0)
    new_uid = models.PositiveBigIntegerField(null=True, blank=True)

    objects = ChangeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["message", "kind"],
                condition=Q(state__in=["waiting", "moving", "copied"]),
                name="one_open_change_per_message_and_kind",
            )
        ]
        indexes = [models.Index(fields=["mailbox", "state"], name="change_by_mailbox_and_state")]

    def __str__(self) -> str:
        return f"{self.kind} of message {self.message_id}"

    @property
    def destination(self) -> Folder | None:
        """Where the next command moves it; None: it is removed."""
        return self.target if self.state == Change.State.WAITING else self.sent_to

    @property
    def sentence(self) -> str:
        """What did not happen, for the reader who asked for it."""
        match self.kind, self.wanted:
            case Change.Kind.SEEN, wanted:
                done = "marked as read" if wanted else "marked as unread"
            case Change.Kind.FLAGGED, wanted:
                done = "starred" if wanted else "unstarred"
            case _:
                done = f"moved to {self.target.label}" if self.target else "deleted"
        return f"“{self.message}” was not {done}."


class ChangeQueueQuerySet(models.QuerySet["ChangeQueue"]):
    def due(self, now: datetime) -> Self:
        """Mailboxes with changes whose time has come, and that no living worker has."""
        return self.filter(Q(leased_until=None) | Q(leased_until__lte=now), due_at__lte=now)

    def claim(self, mailbox_pk: int, now: datetime) -> int | None:
        """Take the changes of a mailbox if they are due; return the fencing number, or None to leave them alone."""
        with transaction.atomic():
            row = self.due(now).filter(mailbox_id=mailbox_pk)
            claimed = row.update(fence=F("fence") + 1, leased_until=now + LEASE)
            return self.values_list("fence", flat=True).get(mailbox_id=mailbox_pk) if claimed else None

    def holding(self, mailbox_pk: int, fence: int) -> Self:
        """The row, only while `fence` is still the newest claim."""
        return self.filter(mailbox_id=mailbox_pk, fence=fence)


class ChangeQueue(models.Model):
    """When somebody is to tell the server of the open changes of a mailbox, and who does.

    due_at: None: nothing waits. failures: tries in a row that ended in an error.
    """

    mailbox = models.OneToOneField(Mailbox, models.CASCADE, primary_key=True, related_name="change_queue")
    due_at = models.DateTimeField(null=True, blank=True, db_index=True)
    fence = models.PositiveBigIntegerField(default=0)
    leased_until = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)

    objects = ChangeQueueQuerySet.as_manager()

    def __str__(self) -> str:
        return f"Changes of {self.mailbox}"
