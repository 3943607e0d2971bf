"""What readers do with mail: read, star, move, delete (spec G5). The way in for pages, the API and rules.

The screen shows a wish at once and a row keeps it; a worker tells the server (`carrying_out.py`). Who may: whoever has
the mailbox in the mail panel, so its owner and those who may send from it; *access* alone only reads (spec F2).
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime

from django.db import transaction

from accounts.models import Mailbox
from mailstore import placing
from mailstore.models import UNPLACED, Change, ChangeQueue, Folder, Message, MessageQuerySet
from mailstore.tasks import carry_out_changes
from organizations.models import User
from organizations.nudging import nudge

Kind = Change.Kind


class NoSuchFolder(Exception):
    """The mailbox has no folder for this use. Says so in a sentence."""


def changeable_by(user: User, now: datetime) -> MessageQuerySet:
    """Messages that `user` may mark, move and delete."""
    return Message.objects.live().filter(mailbox__in=Mailbox.objects.in_panel_of(user, now))


def mark(
    mailbox: Mailbox, keys: Collection[int], kind: Change.Kind, *, wanted: bool, by: User, now: datetime
) -> Action:
    """Set or clear a flag (`Kind.SEEN`, `Kind.FLAGGED`) of those of the messages that differ."""
    action = Action(mailbox, by, now)
    column = Change.COLUMNS[kind]
    with transaction.atomic():
        placing.keep_sync_waiting(mailbox.pk)
        rows = Message.objects.live().filter(mailbox=mailbox, pk__in=keys).exclude(**{column: wanted})
        found = dict(rows.values_list("pk", "folder_id"))
        known = action.reopen(found, kind, wanted=wanted)
        Change.objects.bulk_create(
            action.change(pk, kind, wanted=wanted, was=not wanted) for pk in found if pk not in known
        )
        Message.objects.filter(pk__in=found).update(**{column: wanted})
        placing.list_again(found)
        action.queue(found, found.values())
    return action


def move(mailbox: Mailbox, keys: Collection[int], target: Folder | None, *, by: User, now: datetime) -> Action:
    """Move messages to `target`, a folder of the same mailbox that can hold mail; None: remove them for good."""
    rows = Message.objects.live().filter(mailbox=mailbox, pk__in=keys)
    action = Action(mailbox, by, now)
    with transaction.atomic():
        placing.keep_sync_waiting(mailbox.pk)
        found = list((rows.exclude(folder=target) if target else rows).select_related("folder"))
        _move(action, found, target)
    return action


def undo(batch: uuid.UUID, *, by: User, now: datetime) -> Action | None:
    """Undo what `by` did in one action; None where nothing is left of it or the mailbox is hers no more.

    What was changed again since then, refused, or removed for good stays.
    """
    mine = Change.objects.filter(batch=batch, by=by).exclude(state=Change.State.REFUSED)
    first = mine.select_related("mailbox").first()
    if first is None or not Mailbox.objects.in_panel_of(by, now).filter(pk=first.mailbox_id).exists():
        return None
    action = Action(first.mailbox, by, now)
    with transaction.atomic():
        placing.keep_sync_waiting(first.mailbox_id)
        changes = _not_overtaken(mine.select_related("message__folder", "came_from"))
        for (kind, wanted), keys in _flags_of(changes).items():
            action.add(mark(first.mailbox, keys, kind, wanted=not wanted, by=by, now=now))
        back: dict[Folder, list[Message]] = defaultdict(list)
        for change in changes:
            if change.kind == Kind.PLACE and change.target_id and change.came_from:
                back[change.came_from].append(change.message)
        for folder, messages in back.items():
            _move(action, messages, folder)
    return action


def folder_for(mailbox: Mailbox, use: Folder.SpecialUse) -> Folder:
    """The folder of `mailbox` for a use. Raises NoSuchFolder.

    Where no folder is the archive, the one that shows all mail is: a message that leaves the inbox stays there.
    """
    wanted: list[str] = [use.value]
    if use == Folder.SpecialUse.ARCHIVE:
        wanted.append(Folder.SpecialUse.ALL.value)
    rows = mailbox.folders.filter(special_use__in=wanted, vanished_at=None, is_selectable=True)
    found = sorted(rows, key=lambda folder: (wanted.index(folder.special_use), len(folder.name)))
    if not found:
        raise NoSuchFolder(f"{mailbox.address} has no folder for {use.label.lower()}. Move it to a folder you choose.")
    return found[0]


class Action:
    """One press of a button: `batch` undoes it, `keys` are the messages that it changed, `count` how many those are."""

    def __init__(self, mailbox: Mailbox, by: User, now: datetime) -> None:
        self.mailbox = mailbox
        self.by = by
        self.now = now
        self.batch = uuid.uuid4()
        self.keys: list[int] = []

    @property
    def count(self) -> int:
        return len(self.keys)

    def change(self, message_pk: int, kind: Change.Kind, **more: object) -> Change:
        return Change(
            mailbox=self.mailbox, message_id=message_pk, kind=kind, batch=self.batch, by=self.by, at=self.now, **more
        )

    def reopen(self, keys: Collection[int], kind: Change.Kind, **changes: object) -> set[int]:
        """Give open changes of the messages the new wish; return which messages have one."""
        rows = Change.objects.open().filter(message__in=keys, kind=kind)
        known = set(rows.values_list("message_id", flat=True))
        rows.update(batch=self.batch, by=self.by, at=self.now, **changes)
        return known

    def queue(self, keys: Collection[int], folders: Iterable[int]) -> None:
        """Let a worker know, and open pages. Runs in the transaction that wrote the changes."""
        if not keys:
            return
        self.keys += keys
        ChangeQueue.objects.get_or_create(mailbox=self.mailbox)
        # What waits after a failure keeps its time: another wish makes no server well.
        ChangeQueue.objects.filter(mailbox=self.mailbox, failures=0).update(due_at=self.now)
        ChangeQueue.objects.filter(mailbox=self.mailbox, due_at=None).update(due_at=self.now)
        nudge(carry_out_changes, self.mailbox.pk)
        placing.tell_pages(self.mailbox, folders)

    def add(self, other: Action) -> None:
        self.keys += other.keys


def _move(action: Action, messages: list[Message], target: Folder | None) -> None:
    keys = [message.pk for message in messages]
    known = action.reopen(keys, Kind.PLACE, target=target)
    places = _last_places([message.pk for message in messages if message.uidvalidity == UNPLACED])
    fresh = [message for message in messages if message.pk not in known]
    seen_in: dict[int, list[int]] = defaultdict(list)
    for message in messages:
        seen_in[message.folder_id].append(message.pk)
    changes = []
    for message in fresh:
        source, uidvalidity, uid = places.get(message.pk, (message.folder_id, message.uidvalidity, message.uid))
        place = {"source_id": source, "uidvalidity": uidvalidity, "uid": uid, "came_from_id": message.folder_id}
        changes.append(action.change(message.pk, Kind.PLACE, target=target, **place))
    Change.objects.bulk_create(changes)
    for folder_pk, seen in seen_in.items():
        Change.objects.open().filter(batch=action.batch, message__in=seen).update(came_from=folder_pk)
    placing.take_off(keys, target, action.now)
    placing.list_again(keys)
    action.queue(keys, [*(message.folder_id for message in messages), *([target.pk] if target else [])])


def _last_places(keys: list[int]) -> dict[int, tuple[int | None, int, int]]:
    """Where messages are that went to folders which are not downloaded: only the change that put them there knows."""
    rows = Change.objects.filter(message__in=keys, kind=Kind.PLACE, state=Change.State.DONE, new_uid__isnull=False)
    places = rows.order_by("pk").values_list("message_id", "target_id", "target_uidvalidity", "new_uid")
    return {message: (folder, uidvalidity, uid) for message, folder, uidvalidity, uid in places if uid}


def _flags_of(changes: Iterable[Change]) -> dict[tuple[Change.Kind, bool], list[int]]:
    found: dict[tuple[Change.Kind, bool], list[int]] = defaultdict(list)
    for change in changes:
        if change.kind in Change.COLUMNS:
            found[Kind(change.kind), change.wanted].append(change.message_id)
    return found


def _not_overtaken(rows: Iterable[Change]) -> list[Change]:
    changes = list(rows)
    later = Change.objects.filter(message__in=[change.message_id for change in changes]).order_by("pk")
    newest = {(message, kind): pk for pk, message, kind in later.values_list("pk", "message_id", "kind")}
    return [change for change in changes if newest[change.message_id, change.kind] == change.pk]
