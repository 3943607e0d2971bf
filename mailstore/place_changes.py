"""Messages that readers moved or deleted, moved and removed on the server; crash-safe (RFC 6851, RFC 4315; fault R33).

With MOVE the server does it in one step. Without, there are three: copy, mark the original, expunge just that one. The
row says before each step what is about to happen, so that whoever comes after a crash knows where to look, and a
message ends up in one place. Plain EXPUNGE, which would remove what others have marked, is never sent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from mailstore import junk_marks, settling
from mailstore.flag_changes import give_up
from mailstore.models import Change, Folder
from mailstore.settling import QueueClaim
from mailstore.texts import storable
from organizations.faultpoints import faultpoint
from protocols.errors import Refused
from protocols.imap.changing import ChangeableFolder, Placement
from protocols.imap.fetching import Outline
from protocols.imap.plan import UidSet
from protocols.imap.session import ImapSession
from protocols.message.parse import parse_summary

AT_ONCE = 50  # messages: their UIDs fit into one command, which a server does whole or not at all

DELETED = r"\Deleted"
RENUMBERED = "The folder was renumbered. The next sync finds the message again."
UNSAFE = "The server cannot take single messages out of a folder (it has neither MOVE nor UIDPLUS)."
LOST_COPY = "The server copied it, but the copy was not found again."
State = Change.State


def carry_out(claim: QueueClaim, session: ImapSession, changes: Sequence[Change]) -> None:
    """Move and remove, source by source. Raises MailError where the conversation is over, and QueueLost."""
    for part in _parts(changes):
        source, target = part[0].source, part[0].destination
        if source is None:
            settling.gone(claim, part)
        elif source == target:
            settling.returned(claim, part)
        else:
            try:
                if target is None:
                    _remove(claim, session, source, part)
                else:
                    _Move(claim, session, source, target).carry_out(part)
            except Refused as exc:
                give_up(claim, session, part, exc)


def _parts(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """Changes between the same two folders and in the same state, some at a time."""
    alike: dict[tuple[object, ...], list[Change]] = defaultdict(list)
    for change in changes:
        alike[change.source, change.uidvalidity, change.destination, change.state].append(change)
    for same in alike.values():
        for start in range(0, len(same), AT_ONCE):
            yield same[start : start + AT_ONCE]


def _remove(claim: QueueClaim, session: ImapSession, source: Folder, changes: list[Change]) -> None:
    """Remove for good. Each step may be done twice: it names the messages, and those that are gone are passed over."""
    if not _expunges(session):
        settling.take_back(claim, changes, UNSAFE)
        return
    opened = session.select(source.wire_name)
    if opened.state.uidvalidity != changes[0].uidvalidity:
        settling.take_back(claim, changes, RENUMBERED)
        return
    begun = settling.begin(claim, changes, state=State.MOVING, sent_to=None)
    faultpoint("removal announced")
    if begun:
        _expunge(opened, UidSet(change.uid for change in begun))
        settling.gone(claim, begun)
        faultpoint("removal settled")


def _expunge(opened: ChangeableFolder, uids: UidSet) -> None:
    opened.change_flags(uids, add=[DELETED])
    faultpoint("original marked")
    opened.expunge(uids)
    faultpoint("original removed")


def _expunges(session: ImapSession) -> bool:
    return bool({"UIDPLUS", "IMAP4REV2"} & session.capabilities)


def _moves(session: ImapSession) -> bool:
    return bool({"MOVE", "IMAP4REV2"} & session.capabilities)


class _Move:
    """Changes from one folder to another."""

    def __init__(self, claim: QueueClaim, session: ImapSession, source: Folder, target: Folder) -> None:
        self._claim = claim
        self._session = session
        self._source = source
        self._target = target
        self._verdict = junk_marks.verdict(source, target)

    def carry_out(self, changes: list[Change]) -> None:
        """Begin the move, or go on where a run before us was stopped. Raises Refused with nothing begun."""
        state = changes[0].state
        if not (_moves(self._session) or _expunges(self._session)):
            settling.take_back(self._claim, changes, UNSAFE)
            return
        if state == State.COPIED:
            self._remove_originals(changes)
            return
        if state == State.WAITING:
            changes = self._announce(changes)
        if changes and _moves(self._session):
            self._move(changes)
        elif changes:
            self._copy(changes, again=state == State.MOVING)

    def _announce(self, changes: list[Change]) -> list[Change]:
        """Note from which UID on the target will hold what we put there."""
        told = self._session.status(self._target.wire_name)
        begun = settling.begin(
            self._claim,
            changes,
            state=State.MOVING,
            sent_to=self._target,
            target_uidvalidity=told.uidvalidity,
            target_uidnext=told.uidnext,
        )
        faultpoint("move announced")
        return begun

    def _move(self, changes: list[Change]) -> None:
        opened = self._open(changes)
        if opened is None:
            return
        here = self._session.flags(UidSet(change.uid for change in changes))
        placement, refused = None, []
        if here:
            junk_marks.mark(self._session, opened, here, self._verdict)
            try:
                placement = opened.move(UidSet(here), self._target.wire_name)
            except Refused as exc:
                refused = self._refused(opened, changes, here, exc)
            faultpoint("moved")
        self._settle([change for change in changes if change not in refused], placement)

    def _refused(
        self, opened: ChangeableFolder, changes: list[Change], before: Mapping[int, frozenset[str]], refusal: Refused
    ) -> list[Change]:
        """A refused MOVE may have moved some all the same (RFC 6851, 4.4); take back those that stayed."""
        stayed = []
        if self._session.usable:
            here = self._session.flags(UidSet(change.uid for change in changes))
            stayed = [change for change in changes if change.uid in here]
            junk_marks.unmark(opened, {uid: flags for uid, flags in before.items() if uid in here}, self._verdict)
        give_up(self._claim, self._session, stayed, refusal)
        return stayed

    def _copy(self, changes: list[Change], *, again: bool) -> None:
        """The way without MOVE. A run before us may have copied without living to write it down."""
        copies = self._find(changes) if again else {}
        opened = self._open(changes)
        if opened is None:
            return
        here = self._session.flags(UidSet(change.uid for change in changes))
        missing = [change for change in changes if change.uid not in here and change not in copies]
        wanted = {change.uid: change for change in changes if change.uid in here and change not in copies}
        if wanted:
            junk_marks.mark(self._session, opened, {uid: here[uid] for uid in wanted}, self._verdict)
            placement = opened.copy(UidSet(wanted), self._target.wire_name)
            faultpoint("copied")
            copies |= self._where(list(wanted.values()), placement)
        noted = settling.copied(self._claim, copies)
        faultpoint("copy noted")
        lost = [change for change in wanted.values() if change not in copies]
        settling.take_back(self._claim, lost, LOST_COPY)
        settling.gone(self._claim, missing)
        if noted:
            self._remove_originals(noted)

    def _remove_originals(self, changes: list[Change]) -> None:
        opened = self._open(changes)
        if opened is None:
            return
        try:
            _expunge(opened, UidSet(change.uid for change in changes))
        except Refused as exc:
            if self._session.usable:  # the originals stay, so the copies go
                opened.change_flags(UidSet(change.uid for change in changes), remove=[DELETED])
                copies = UidSet(change.new_uid for change in changes if change.new_uid)
                _expunge(self._session.select(self._target.wire_name), copies)
            give_up(self._claim, self._session, changes, exc)
            return
        settling.placed(self._claim, {change: change.new_uid for change in changes if change.new_uid})
        faultpoint("move settled")

    def _open(self, changes: list[Change]) -> ChangeableFolder | None:
        """Open the source; None where it was renumbered, and what can be known then is settled."""
        opened = self._session.select(self._source.wire_name)
        if opened.state.uidvalidity == changes[0].uidvalidity:
            return opened
        found = {change: change.new_uid for change in changes if change.new_uid and change.state == State.COPIED}
        found |= self._find([change for change in changes if change not in found])
        settling.placed(self._claim, found)
        settling.take_back(self._claim, [change for change in changes if change not in found], RENUMBERED)
        return None

    def _settle(self, changes: list[Change], placement: Placement | None) -> None:
        """Give what left the source its new place. What is in neither folder went on by another program's doing."""
        found = self._where(changes, placement)
        settling.placed(self._claim, found)
        settling.gone(self._claim, [change for change in changes if change not in found])
        faultpoint("move settled")

    def _where(self, changes: list[Change], placement: Placement | None) -> dict[Change, int]:
        """The new UIDs: told with the command (COPYUID), else found."""
        told = placement.uids if placement is not None else {}
        if placement is not None:
            for change in changes:
                change.target_uidvalidity = placement.uidvalidity
        found = {change: told[change.uid] for change in changes if change.uid in told}
        return found | self._find([change for change in changes if change not in found])

    def _find(self, changes: list[Change]) -> dict[Change, int]:
        """Look for messages among those that the target got since the move was announced: by Message-ID and size,
        and without a Message-ID by the moment of arrival, which copies keep (RFC 9051, 6.4.7).
        """
        if not changes:
            return {}
        state = self._session.examine(self._target.wire_name)
        taken = settling.known_uids(self._target, state.uidvalidity)
        asked = [change for change in changes if change.target_uidvalidity == state.uidvalidity]
        if not asked:
            return {}
        low = min(change.target_uidnext for change in asked)
        outlines = [
            outline
            for outline in self._session.outlines(UidSet([range(low, state.uidnext)]))
            if outline.uid not in taken
        ]
        found: dict[Change, int] = {}
        for change in asked:
            same = next((outline for outline in outlines if _is_of(outline, change)), None)
            if same is not None:
                outlines.remove(same)
                found[change] = same.uid
        return found


def _is_of(outline: Outline, change: Change) -> bool:
    message = change.message
    if outline.size != message.size or outline.uid < change.target_uidnext:
        return False
    message_id = storable(parse_summary(outline.head).message_id, 998)
    return message_id == message.message_id and bool(message_id or outline.internal_date == message.received_at)
