"""A folder whose UIDVALIDITY changed: its messages get their new UIDs and keep everything else (fault R10).

All UIDs we know are void (RFC 9051, 2.3.1.1), the messages mostly are not. They are recognised by Message-ID and size,
where there are several by INTERNALDATE, without Message-ID by their octets. A new number alone makes no new mail.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection, transaction
from django.utils import timezone

from mailstore.models import Folder, Message
from mailstore.pulling import newest_first
from mailstore.run import Run, first_day
from mailstore.texts import storable
from organizations.faultpoints import faultpoint
from protocols.imap.fetching import FetchedMessage, Outline
from protocols.imap.plan import FolderState, UidSet
from protocols.message.parse import parse_summary

log = logging.getLogger(__name__)

MOST_CHANGES = 5  # in a row; some servers renumber endlessly
OUTLINES_AT_ONCE = 2_000


class EpochUnsteady(Exception):
    """UIDVALIDITY changed in more than five syncs in a row."""


@dataclass(frozen=True, slots=True)
class _Old:
    pk: int
    received_at: datetime
    sha256: bytes


@dataclass(slots=True)
class _Found:
    """uids: key of a stored message -> its new UID; doubtful: outlines that only the octets can tell."""

    uids: dict[int, int] = field(default_factory=dict)
    doubtful: list[Outline] = field(default_factory=list)
    unknown: list[Outline] = field(default_factory=list)


def remap(run: Run, folder: Folder, state: FolderState) -> None:
    """Give the stored messages of the open folder their new UIDs; the rest of the sync fetches what is unknown.

    Raises EpochUnsteady.
    """
    if folder.epoch_changes >= MOST_CHANGES:
        raise EpochUnsteady(folder.name)
    log.info("UIDVALIDITY of folder %s: %s -> %s", folder.pk, folder.uidvalidity, state.uidvalidity)
    found = _match(run, folder, state)
    faultpoint("epoch matched")
    wanted = _wanted(run, folder, found.unknown)
    arrivals = [outline.uid for outline in wanted if _is_new(outline, folder)]
    settled = UidSet([range(1, state.uidnext)]) - UidSet(outline.uid for outline in wanted)
    with transaction.atomic():
        run.claim.hold(timezone.now())
        with connection.cursor() as cursor:
            cursor.executemany(
                "UPDATE mailstore_message SET uidvalidity = %s, uid = %s WHERE id = %s",
                [(state.uidvalidity, uid, pk) for pk, uid in found.uids.items()],
            )
        run.write_folder(
            folder,
            uidvalidity=state.uidvalidity,
            uidnext=min(arrivals, default=state.uidnext),
            stored=str(settled),
            highestmodseq=None,
            refused={},
            refused_until=None,
            epoch_changes=folder.epoch_changes + 1,
        )
        faultpoint("epoch written")
    faultpoint("epoch committed")


def _match(run: Run, folder: Folder, state: FolderState) -> _Found:
    known = _stored(folder)
    found = _Found()
    for uids in newest_first(UidSet([range(1, state.uidnext)]), OUTLINES_AT_ONCE):
        for outline in run.session.outlines(uids):
            message_id = storable(parse_summary(outline.head).message_id, 998)
            candidates = known.get((message_id, outline.size), [])
            if not candidates:
                found.unknown.append(outline)
            elif message_id:
                found.uids[_take(candidates, outline.internal_date).pk] = outline.uid
            else:
                found.doubtful.append(outline)
    _match_octets(run, known, found)
    return found


def _stored(folder: Folder) -> dict[tuple[str, int], list[_Old]]:
    rows = Message.objects.live().filter(folder=folder, uidvalidity=folder.epoch)
    known: dict[tuple[str, int], list[_Old]] = defaultdict(list)
    for pk, message_id, size, received_at, sha256 in rows.values_list(
        "pk", "message_id", "size", "received_at", "sha256"
    ).iterator():
        known[message_id, size].append(_Old(pk, received_at, bytes(sha256)))
    return known


def _take(candidates: list[_Old], received_at: datetime | None) -> _Old:
    """Remove and return the candidate received at that moment, or any: copies of one message are alike."""
    same = next((old for old in candidates if old.received_at == received_at), candidates[0])
    candidates.remove(same)
    return same


def _match_octets(run: Run, known: dict[tuple[str, int], list[_Old]], found: _Found) -> None:
    by_uid = {outline.uid: outline for outline in found.doubtful}
    if not by_uid:
        return
    digests = {uid: hashlib.sha256() for uid in by_uid}
    for message in run.session.fetch_spooling(UidSet(by_uid), lambda uid: digests.get(uid, hashlib.sha256()).update):
        outline = by_uid.pop(message.uid)
        candidates = known.get(("", outline.size), [])
        if isinstance(message, FetchedMessage):
            digests[message.uid].update(message.raw)
        digest = digests.pop(message.uid).digest()
        same = next((old for old in candidates if old.sha256 == digest), None)
        if same is None:
            found.unknown.append(outline)
        else:
            candidates.remove(same)
            found.uids[same.pk] = outline.uid
    found.unknown += by_uid.values()


def _wanted(run: Run, folder: Folder, unknown: Iterable[Outline]) -> list[Outline]:
    """Of messages we do not have, those that a download would have taken: not the old mail it left out."""
    since = folder.covers_from if folder.synced_at else first_day(run.mailbox, timezone.now())
    oldest = Message.objects.live().filter(folder=folder).order_by("received_at").values_list("received_at", flat=True)
    if since is not None and (first := oldest.first()) is not None:
        since = min(since, first)
    return [outline for outline in unknown if since is None or (outline.internal_date or since) >= since]


def _is_new(outline: Outline, folder: Folder) -> bool:
    """Tell whether a message came after the last sync, as far as the server's dates say."""
    return bool(folder.synced_at and outline.internal_date and outline.internal_date > folder.synced_at)
