"""Stores batches of messages: octets into a pack first, then everything else in one transaction.

Rows, arrivals and the folder's cursor commit together, so that a stop at any point leaves whole messages and a cursor
that tells the truth. Writing a message that is stored already changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from django.db.models import F
from django.utils import timezone

from mailstore import bulk, fulltext, joining, listings, signals, threads
from mailstore.full_database import is_full
from mailstore.models import LEASE, Arrival, Attachment, Folder, Message, SyncSchedule
from mailstore.packs import Location, PackWriter
from mailstore.reading import ReadMessage, bare_message, is_inline
from mailstore.texts import storable
from organizations.faultpoints import faultpoint
from protocols.imap.plan import UidSet

_MESSAGE_COLUMNS = (
    "id", "mailbox_id", "folder_id", "conversation_id", "strand_id", "uidvalidity", "uid", "received_at", "size",
    "pack", "offset", "stored_size", "sha256", "is_seen", "is_flagged", "is_answered", "is_draft", "keywords",
    "message_id", "subject", "from_name", "from_address", "to", "date", "preview", "attachment_count", "defects",
)  # fmt: skip
_ATTACHMENT_COLUMNS = ("message_id", "path", "filename", "content_type", "size", "cid", "is_inline")
NO_UIDS = UidSet()
_UNSTORABLE = (DataError, IntegrityError, ValueError, OverflowError)


Placed = tuple[ReadMessage, Location]


class ClaimLost(Exception):
    """A newer claim has taken the mailbox over, or it was deleted. Nothing was changed; stop quietly."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write to one mailbox (fault R34): every transaction of a sync begins by holding it."""

    mailbox_pk: int
    fence: int

    def hold(self, now: datetime, *, done: int = 0) -> None:
        """Renew the lease, and keep any other claim waiting until this transaction ends. Raises ClaimLost."""
        row = SyncSchedule.objects.holding(self.mailbox_pk, self.fence)
        if not row.update(leased_until=now + LEASE, done=F("done") + done):
            raise ClaimLost


@dataclass(frozen=True, slots=True)
class Stored:
    """What one batch brought: new rows, and how many of them are arrivals."""

    messages: int = 0
    arrivals: int = 0

    def __add__(self, other: Stored) -> Stored:
        return Stored(self.messages + other.messages, self.arrivals + other.arrivals)


def store_batch(
    folder: Folder,
    messages: Sequence[Placed],
    *,
    claim: Claim,
    packs: PackWriter,
    covered: UidSet = NO_UIDS,
    new_from: int | None = None,
    postings: Sequence[bytes] = (),
) -> Stored:
    """Store `messages` of `folder`, whose `uidvalidity` is theirs, and move its cursor.

    Their octets were appended to `packs` before, and are forced onto the disk here before anything is committed.

    covered:  UIDs that are dealt with once this batch is stored, beyond those of its messages.
    new_from: messages with this UID or a higher one are arrivals, unless the mailbox holds their octets already: then
              they were only moved. None: old mail, nothing is announced.
    postings: what the full-text index is told of all `messages` together, where that was made before.

    A message that the database refuses is stored bare; it never stops the others. Raises ClaimLost, StorageFull, and
    OperationalError where the disk of the database is full: then as much as finds room is stored before.
    """
    packs.settle()
    batch = _Batch(folder, claim, packs, covered | UidSet(read.uid for read, _ in messages), new_from, postings)
    stored = _store_all(batch, list(messages))
    faultpoint("batch committed")
    return stored


@dataclass(frozen=True, slots=True)
class _Batch:
    folder: Folder
    claim: Claim
    packs: PackWriter
    covered: UidSet
    new_from: int | None
    postings: Sequence[bytes]

    def only(self, messages: Sequence[Placed]) -> _Batch:
        """The same batch, of which no more than `messages` is dealt with."""
        return replace(self, covered=UidSet(read.uid for read, _ in messages), postings=())


def _store_all(batch: _Batch, messages: list[Placed]) -> Stored:
    """Store in one transaction; where the database refuses something, halve until the one message is found."""
    try:
        return _store(batch, messages)
    except OperationalError as exc:
        if is_full(exc):
            _store_what_fits(batch, messages)
        raise
    except _UNSTORABLE:
        if not messages:
            raise
    if len(messages) == 1:
        read, place = messages[0]
        return _store(replace(batch, postings=()), [(bare_message(read), place)])
    middle = len(messages) // 2
    first, second = messages[:middle], messages[middle:]
    return _store_all(batch.only(first), first) + _store_all(replace(batch, postings=()), second)


def _store_what_fits(batch: _Batch, messages: list[Placed]) -> None:
    """The rows found no room: give back the octets of the later half, and store the first, down to one message.

    Octets and rows often share a disk, and a pack that filled it leaves no room for the rows. The transaction was
    rolled back, and batches are written in the order of their octets: no row names anything from `messages` on.
    """
    while messages:
        middle = len(messages) // 2
        first = next((place for _, place in messages[middle:] if not place.is_shared), None)
        if first is not None:
            batch.packs.give_back(first)
        messages = messages[:middle]
        if not messages:
            return
        try:
            _store(batch.only(messages), messages)
        except OperationalError as exc:
            if not is_full(exc):
                raise
        else:
            return


def _store(batch: _Batch, messages: list[Placed]) -> Stored:
    folder = batch.folder
    now = timezone.now()
    with transaction.atomic():
        batch.claim.hold(now, done=len(messages))
        given, messages = len(messages), _not_stored_yet(folder, messages)
        keys = bulk.reserve_keys(Message, len(messages)) if messages else []
        arrivals = _arrivals(batch, messages, keys)
        if messages:
            _insert(folder, messages, keys, batch.postings if len(messages) == given else ())
        _insert_arrivals(arrivals, now)
        faultpoint("rows written")
        cursor = UidSet.parse(_cursor(folder)) | batch.covered
        Folder.objects.filter(pk=folder.pk).update(stored=str(cursor))
        faultpoint("batch written")
        if arrivals:
            transaction.on_commit(lambda: _announce(folder, arrivals))
    folder.stored = str(cursor)
    return Stored(len(messages), len(arrivals))


def _announce(folder: Folder, arrivals: list[int]) -> None:
    """After the commit. Whoever works on new mail finds the rows of what was never announced."""
    faultpoint("arrivals committed")
    signals.arrivals_stored.send_robust(Folder, mailbox_pk=folder.mailbox_id, message_pks=arrivals)
    faultpoint("arrivals announced")


def _cursor(folder: Folder) -> str:
    return Folder.objects.values_list("stored", flat=True).get(pk=folder.pk)


def _not_stored_yet(folder: Folder, messages: list[Placed]) -> list[Placed]:
    """Leave out what is stored: nobody else writes to this mailbox while the claim is held."""
    among, parameters = bulk.is_among(read.uid for read, _ in messages)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT uid FROM mailstore_message WHERE folder_id = %s AND uidvalidity = %s AND uid {among}",  # noqa: S608
            [folder.pk, folder.uidvalidity, *parameters],
        )
        seen = {uid for (uid,) in cursor.fetchall()}
    fresh = []
    for read, place in messages:
        if read.uid not in seen:
            seen.add(read.uid)  # a server may send a message twice in one answer
            fresh.append((read, place))
    return fresh


def _arrivals(batch: _Batch, messages: list[Placed], keys: Sequence[int]) -> list[int]:
    """Return the keys of those messages that are new to the mailbox."""
    new = [
        (key, read)
        for key, (read, _) in zip(keys, messages, strict=True)
        if batch.new_from is not None and read.uid >= batch.new_from
    ]
    if not new:
        return []
    identifiers = {read.message_id for _, read in new if read.message_id}
    same = Message.objects.filter(mailbox_id=batch.claim.mailbox_pk, message_id__in=identifiers)
    held = {(message_id, bytes(sha256)) for message_id, sha256 in same.values_list("message_id", "sha256")}
    return [key for key, read in new if (read.message_id, read.sha256) not in held]


def _insert(folder: Folder, messages: list[Placed], keys: Sequence[int], postings: Sequence[bytes]) -> None:
    assigned = threads.assign(folder.mailbox_id, [read.tied for read, _ in messages])
    rows = zip(keys, assigned.places, messages, strict=True)
    bulk.insert_rows(Message, _MESSAGE_COLUMNS, [_row(folder, key, place, placed) for key, place, placed in rows])
    bulk.insert_rows(
        Attachment,
        _ATTACHMENT_COLUMNS,
        [row for key, (read, _) in zip(keys, messages, strict=True) for row in _attachment_rows(key, read)],
    )
    fulltext.add(
        [
            fulltext.IndexedMessage(key, read.texts, read.in_order)
            for key, (read, _) in zip(keys, messages, strict=True)
        ],
        postings,
    )
    moved = assigned.merged | joining.settle(folder.mailbox_id, assigned)
    touched = {place.conversation for place in assigned.places}
    listings.refresh(touched - moved, folder_pk=folder.pk)
    listings.refresh(moved)  # other folders may have listed what was merged


def _row(folder: Folder, key: int, shown: threads.Place, placed: Placed) -> bulk.Row:
    read, place = placed
    flags = read.flags
    return (
        key, folder.mailbox_id, folder.pk, *shown, folder.uidvalidity, read.uid, bulk.moment(read.received_at),
        read.size, place.pack, place.offset, place.size, read.sha256,
        flags.is_seen, flags.is_flagged, flags.is_answered, flags.is_draft, flags.keywords,
        read.message_id, read.subject, read.from_name, read.from_address, read.to, bulk.moment(read.date),
        read.preview, sum(not is_inline(part) for part in read.attachments), read.defects,
    )  # fmt: skip


def _attachment_rows(key: int, read: ReadMessage) -> list[bulk.Row]:
    return [
        (
            key,
            part.path[:200],
            storable(part.filename, 255),
            storable(part.content_type, 127),
            part.size,
            storable(part.cid, 255),
            is_inline(part),
        )
        for part in read.attachments
    ]


def _insert_arrivals(keys: list[int], now: datetime) -> None:
    if keys:
        bulk.insert_rows(Arrival, ("message_id", "at"), [(key, bulk.moment(now)) for key in keys])
