"""The selected folder as this session knows it: message numbers, and what happened since it was last told."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import replace

from sandbox.imap.fetch import flag_list
from sandbox.imap.grammar import LAST, BadSyntax, SequenceSet
from sandbox.store import Folder, Store


class FolderGone(Exception):
    """Another session deleted the selected folder; the connection ends, as with other servers."""


class Selected:
    """Message numbers are positions in `uids` plus one; they change only when EXPUNGE is told."""

    def __init__(self, store: Store, folder: Folder, *, read_only: bool) -> None:
        self._store = store
        self.folder = folder
        self.read_only = read_only
        self.uids = store.uids(folder.pk)
        self._recent_from = folder.recent_from
        self._told = folder.modseq  # flags are told up to here
        if not read_only:
            store.claim_recent(folder)

    def is_recent(self, uid: int) -> bool:
        return uid >= self._recent_from

    def number_of(self, uid: int) -> int:
        return bisect_left(self.uids, uid) + 1

    def resolve(self, wanted: SequenceSet, *, by_uid: bool) -> list[int]:
        """Return the UIDs in a set, ascending. Raises BadSyntax for a message number that does not exist."""
        chosen: set[int] = set()
        highest = (self.uids[-1] if self.uids else 0) if by_uid else len(self.uids)
        for ends in wanted:
            low, high = sorted(highest if end == LAST else end for end in ends)
            if by_uid:
                chosen.update(self.uids[bisect_left(self.uids, low) : bisect_right(self.uids, high)])
            elif high > highest:
                raise BadSyntax(f"There is no message {high}; the folder has {highest}.")
            else:
                chosen.update(self.uids[max(low, 1) - 1 : high])
        return sorted(chosen)

    def news(self, *, may_expunge: bool, with_uid: bool) -> list[bytes]:
        """Return the untagged lines about what other sessions did, and take note of it (RFC 3501, 5.2).

        Raises FolderGone.
        """
        folder = self._store.folder_by_pk(self.folder.pk)
        if folder is None:
            raise FolderGone
        known = folder.uidnext == self.folder.uidnext and folder.modseq == self._told
        if known and folder.modseq == self.folder.modseq:
            return []
        lines = self._expunged() if may_expunge else []
        arrived = folder.uidnext != self.folder.uidnext
        if arrived:
            lines += self._arrived()
        for row in self._store.changed_rows(folder.pk, self._told):
            if row.uid < self.folder.uidnext:
                uid = b"UID %d " % row.uid if with_uid else b""
                flags = flag_list(row.flags, is_recent=self.is_recent(row.uid))
                lines.append(b"* %d FETCH (%sFLAGS %s)\r\n" % (self.number_of(row.uid), uid, flags))
        if arrived and not self.read_only:
            self._store.claim_recent(folder)
        self._told = folder.modseq
        # An EXPUNGE that may not be told yet keeps the old modseq, so that the next call looks again.
        self.folder = folder if may_expunge else replace(folder, modseq=self.folder.modseq)
        return lines

    def note_own_flags(self) -> None:
        """Our own STORE has been answered already: do not tell it again."""
        folder = self._store.folder_by_pk(self.folder.pk)
        self._told = folder.modseq if folder else self._told

    def _expunged(self) -> list[bytes]:
        left = set(self._store.uids(self.folder.pk))
        gone = [number for number, uid in enumerate(self.uids, 1) if uid not in left]
        if gone:
            self.uids = [uid for uid in self.uids if uid in left]
        return [b"* %d EXPUNGE\r\n" % number for number in reversed(gone)]

    def _arrived(self) -> list[bytes]:
        fresh = [uid for uid in self._store.uids(self.folder.pk) if uid >= self.folder.uidnext]
        self.uids.extend(fresh)
        recent = len(self.uids) - bisect_left(self.uids, self._recent_from)
        return [b"* %d EXISTS\r\n* %d RECENT\r\n" % (len(self.uids), recent)]
