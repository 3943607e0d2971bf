"""Flags that readers set and cleared, written to the server (RFC 9051, 6.4.6; RFC 7162, 3.1.3; fault R32)."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence

from mailstore import settling
from mailstore.models import UNPLACED, Change, Folder
from mailstore.settling import QueueClaim
from organizations.faultpoints import faultpoint
from protocols.errors import Deferred, Refused
from protocols.imap.changing import ChangeableFolder
from protocols.imap.plan import UidSet
from protocols.imap.session import ImapSession

log = logging.getLogger(__name__)

FLAGS = {Change.Kind.SEEN: r"\Seen", Change.Kind.FLAGGED: r"\Flagged"}

_Place = tuple[Folder, int]  # and the UIDVALIDITY of the UIDs
_Located = dict[int, Change]  # by UID


def carry_out(claim: QueueClaim, session: ImapSession, changes: Sequence[Change]) -> None:
    """Write the flags, folder by folder. Raises MailError where the conversation is over, and QueueLost."""
    for (folder, uidvalidity), wishes in _by_place(changes).items():
        every = [change for located in wishes.values() for change in located.values()]
        settling.begin(claim, every)
        try:
            opened = session.select(folder.wire_name)
            if opened.state.uidvalidity != uidvalidity:
                settling.take_back(claim, every, "The folder was renumbered. The next sync finds the message again.")
                continue
            for (kind, wanted), located in wishes.items():
                _store(claim, session, opened, folder, FLAGS[kind], located, wanted=wanted)
        except Refused as exc:
            give_up(claim, session, every, exc)


def give_up(claim: QueueClaim, session: ImapSession, changes: Iterable[Change], refusal: Refused) -> None:
    """Take back what the server refuses. Where it ended the conversation with that, everything waits instead."""
    if not session.usable:
        raise Deferred("The server ended the conversation.", reply=refusal.reply) from refusal
    log.info("Changes of mailbox %s were refused: %s", claim.mailbox_pk, type(refusal).__name__)
    said = f"The server says: {refusal.reply}" if refusal.reply else str(refusal)
    settling.take_back(claim, changes, said)


def _store(
    claim: QueueClaim,
    session: ImapSession,
    opened: ChangeableFolder,
    folder: Folder,
    flag: str,
    located: _Located,
    *,
    wanted: bool,
) -> None:
    """Write one flag once. What others changed since our last sync is looked at, and written a second time at most.

    Each write names one flag, so that no other flag of anybody is lost. The reader's wish is the last word on its flag.
    """
    add, remove = ([flag], []) if wanted else ([], [flag])
    contested = opened.change_flags(UidSet(located), add=add, remove=remove, unchanged_since=folder.highestmodseq)
    faultpoint("flags stored")
    if contested:
        present = session.flags(contested)
        faultpoint("contested flags read")
        differing = UidSet(uid for uid, flags in present.items() if (flag in flags) != wanted)
        if differing:
            opened.change_flags(differing, add=add, remove=remove)
            faultpoint("flags stored again")
    settling.flags_done(claim, located.values())
    faultpoint("flags settled")


def _by_place(changes: Sequence[Change]) -> dict[_Place, dict[tuple[Change.Kind, bool], _Located]]:
    """Where each message lies on the server now. One on its way lies where its open move says."""
    keys = [change.message_id for change in changes if change.message.uidvalidity == UNPLACED]
    rows = Change.objects.filter(message__in=keys, kind=Change.Kind.PLACE, state=Change.State.WAITING)
    under_way = {move.message_id: move for move in rows.select_related("source")}
    found: dict[_Place, dict[tuple[Change.Kind, bool], _Located]] = {}
    for change in changes:
        message, move = change.message, under_way.get(change.message_id)
        folder, uidvalidity, uid = message.folder, message.uidvalidity, message.uid
        if move is not None and move.source is not None:
            folder, uidvalidity, uid = move.source, move.uidvalidity, move.uid
        wishes = found.setdefault((folder, uidvalidity), defaultdict(dict))
        wishes[Change.Kind(change.kind), change.wanted][uid] = change
    return found
