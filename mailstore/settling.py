"""How a change ends: done, or taken back on the screen. Each ending holds the claim and the wish it was made for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from mailstore import placing
from mailstore.models import Change, ChangeQuerySet, ChangeQueue, Folder, Message
from mailstore.models.changes import LEASE
from mailstore.texts import storable

State = Change.State


class QueueLost(Exception):
    """A newer claim has taken the changes over, or the mailbox was deleted. Stop quietly."""


@dataclass(frozen=True, slots=True)
class QueueClaim:
    """The right to carry out the changes of one mailbox."""

    mailbox_pk: int
    fence: int

    def hold(self, now: datetime) -> None:
        """Renew the lease, and keep any other claim waiting until this transaction ends. Raises QueueLost."""
        if not ChangeQueue.objects.holding(self.mailbox_pk, self.fence).update(leased_until=now + LEASE):
            raise QueueLost


def begin(claim: QueueClaim, changes: Iterable[Change], **marks: object) -> list[Change]:
    """Note, before anything is sent, that it is; return the changes that are still wished for like this."""
    with transaction.atomic():
        claim.hold(timezone.now())
        tried = F("attempts") + 1
        kept = [change for change in changes if _mine(change).update(attempts=tried, **marks)]
    for change in kept:
        for name, value in marks.items():
            setattr(change, name, value)
    return kept


def flags_done(claim: QueueClaim, changes: Iterable[Change]) -> None:
    """The server has these flags now. Where the reader wants something else meanwhile, that stays to be done."""
    now = timezone.now()
    with transaction.atomic():
        placing.keep_sync_waiting(claim.mailbox_pk)
        claim.hold(now)
        for change in changes:
            if not _mine(change).update(state=State.DONE, settled_at=now):
                Change.objects.open().filter(pk=change.pk).update(was=change.wanted)


def placed(claim: QueueClaim, places: Mapping[Change, int]) -> None:
    """The server has these messages in their targets, under these UIDs."""
    now = timezone.now()
    with transaction.atomic():
        placing.keep_sync_waiting(claim.mailbox_pk)
        claim.hold(now)
        keys: list[int] = []
        touched: set[int] = set()
        for change, uid in places.items():
            assert change.sent_to is not None
            where = {"new_uid": uid, "target_uidvalidity": change.target_uidvalidity}
            as_wished = change.target_id == change.sent_to_id
            if as_wished and _mine(change).update(state=State.DONE, settled_at=now, **where):
                keys.append(change.message_id)
                touched |= placing.put(change.message_id, change.sent_to, change.target_uidvalidity, uid, now)
            else:
                # The reader wants it elsewhere by now: from here on.
                Change.objects.open().filter(pk=change.pk).update(
                    source=change.sent_to, uidvalidity=change.target_uidvalidity, uid=uid, state=State.WAITING
                )
        placing.list_again(keys, touched)
    _tell(places)


def copied(claim: QueueClaim, copies: Mapping[Change, int]) -> list[Change]:
    """The server has copies of these messages under these UIDs, and the originals still."""
    with transaction.atomic():
        claim.hold(timezone.now())
        for change, uid in copies.items():
            change.state, change.new_uid = State.COPIED, uid
            change.save(update_fields=["state", "new_uid", "target_uidvalidity"])
    return list(copies)


def known_uids(folder: Folder, uidvalidity: int) -> set[int]:
    """UIDs in `folder` that other moves are known to have given."""
    rows = Change.objects.filter(sent_to=folder, target_uidvalidity=uidvalidity, new_uid__isnull=False)
    return {uid for uid in rows.values_list("new_uid", flat=True) if uid is not None}


def returned(claim: QueueClaim, changes: Iterable[Change]) -> None:
    """The reader wants these where the server has them: there is nothing to say."""
    now = timezone.now()
    with transaction.atomic():
        placing.keep_sync_waiting(claim.mailbox_pk)
        claim.hold(now)
        settled = [change for change in changes if _mine(change).update(state=State.DONE, settled_at=now)]
        touched: set[int] = set()
        for change in settled:
            assert change.source is not None
            touched |= placing.put_back(change.message_id, change.source, change.uidvalidity, change.uid, now)
        placing.list_again([change.message_id for change in settled], touched)
    _tell(settled)


def gone(claim: QueueClaim, changes: Iterable[Change]) -> None:
    """The messages are not where they were, and not where they were to go: removed, or moved on by another program."""
    now = timezone.now()
    with transaction.atomic():
        placing.keep_sync_waiting(claim.mailbox_pk)
        claim.hold(now)
        settled = [
            change
            for change in changes
            if Change.objects.open().filter(pk=change.pk).update(state=State.DONE, settled_at=now)
        ]
        for change in settled:
            placing.hide(change.message_id, now)
        placing.list_again([change.message_id for change in settled])
    _tell(settled)


def take_back(claim: QueueClaim, changes: Iterable[Change], problem: str) -> None:
    """Show again what the server has, and say why to whoever asked."""
    now = timezone.now()
    with transaction.atomic():
        placing.keep_sync_waiting(claim.mailbox_pk)
        claim.hold(now)
        ended = {"state": State.REFUSED, "settled_at": now, "problem": storable(problem, 400)}
        refused = []
        for change in changes:
            as_wished = change.state == State.WAITING or change.target_id == change.sent_to_id
            if as_wished and _mine(change).update(**ended):
                refused.append(change)
            else:
                # The reader wants something else by now, which may be possible.
                Change.objects.open().filter(pk=change.pk).update(state=State.WAITING)
        flags: dict[tuple[str, bool], list[int]] = defaultdict(list)
        touched: set[int] = set()
        for change in refused:
            if change.kind in Change.COLUMNS:
                flags[Change.COLUMNS[Change.Kind(change.kind)], change.was].append(change.message_id)
            elif change.source is not None:
                touched |= placing.put_back(change.message_id, change.source, change.uidvalidity, change.uid, now)
        for (column, was), keys in flags.items():
            Message.objects.filter(pk__in=keys).update(**{column: was})
        placing.list_again([change.message_id for change in refused], touched)
    _tell(refused)


def _mine(change: Change) -> ChangeQuerySet:
    """The row while it still says what was carried out."""
    return Change.objects.open().filter(pk=change.pk, batch=change.batch)


def _tell(changes: Iterable[Change]) -> None:
    told = list(changes)
    if told:
        folders = {pk for change in told for pk in (change.source_id, change.target_id) if pk is not None}
        folders |= {change.message.folder_id for change in told if change.source_id is None}
        placing.tell_pages(told[0].mailbox, folders)
