"""Folders and messages in one SQLite file. What a method returned from is on disk: a kill -9 loses nothing.

Synchronous on purpose: every call is a matter of milliseconds, and one thread serves all connections.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from sandbox import schema

DELIMITER: Final = "/"
INBOX: Final = "INBOX"

Flags = frozenset[str]


class StoreError(Exception):
    """The store cannot do this; the message is a sentence for the person at the client."""


class NoSuchFolder(StoreError): ...


class FolderExists(StoreError): ...


@dataclass(frozen=True, slots=True)
class Folder:
    """One IMAP mailbox. modseq grows with every change in it; recent_from is the first UID no session has seen."""

    pk: int
    address: str
    name: str
    special_use: str
    uidvalidity: int
    uidnext: int
    recent_from: int
    modseq: int


@dataclass(frozen=True, slots=True)
class Row:
    """A message in a folder, without its octets. size: octets; internal_at: Unix time."""

    uid: int
    content_pk: int
    size: int
    flags: Flags
    internal_at: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What STATUS reports about the messages of a folder. size: octets of all of them."""

    messages: int
    unseen: int
    deleted: int
    recent: int
    size: int


_FOLDER = "SELECT id, address, name, special_use, uidvalidity, uidnext, recent_from, modseq FROM folder "
_ROW = "SELECT uid, content_id, size, flags, internal_at FROM message "
_CHOSEN = "WHERE folder_id = ? AND uid IN (SELECT value FROM json_each(?)) "


class Store:
    """All mailboxes. `listeners` are called with a folder's key after each committed change in it."""

    def __init__(self, path: Path) -> None:
        """Open or make the file. Raises StoreError when it was made by a newer version."""
        self.listeners: set[Callable[[int], None]] = set()
        self._touched: set[int] = set()
        self._depth = 0
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("PRAGMA foreign_keys=ON")
        self._migrate(path)

    def _migrate(self, path: Path) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > schema.VERSION:
            self._db.close()
            raise StoreError(f"{path} was made by a newer version. Use that version, or another state folder.")
        if version == 0:
            self._db.executescript(f"BEGIN; {schema.SCHEMA} PRAGMA user_version={schema.VERSION}; COMMIT;")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes inside happen or none; nests. Listeners hear of them after the commit."""
        if self._depth == 0:
            self._db.execute("BEGIN IMMEDIATE")
        self._depth += 1
        try:
            yield
            if self._depth == 1:
                self._db.execute("COMMIT")
        except BaseException:
            if self._depth == 1:
                self._touched.clear()
                if self._db.in_transaction:  # a full disk may have rolled back already
                    self._db.execute("ROLLBACK")
            raise
        finally:
            self._depth -= 1
        if self._depth == 0:
            touched, self._touched = self._touched, set()
            for folder_pk in touched:
                for listener in tuple(self.listeners):
                    listener(folder_pk)

    # Facts: small things to remember between starts.

    def fact(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def remember(self, name: str, value: str) -> None:
        with self.transaction():
            self._db.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))

    # Folders.

    def folders(self, address: str) -> list[Folder]:
        """All folders of a mailbox by name, INBOX first."""
        rows = self._db.execute(_FOLDER + "WHERE address = ? ORDER BY name <> 'INBOX', name", (address,))
        return [Folder(*row) for row in rows]

    def folder(self, address: str, name: str) -> Folder:
        """Return one folder. Raises NoSuchFolder."""
        row = self._db.execute(_FOLDER + "WHERE address = ? AND name = ?", (address, name)).fetchone()
        if row is None:
            raise NoSuchFolder(f"There is no folder {name!r}.")
        return Folder(*row)

    def folder_by_pk(self, pk: int) -> Folder | None:
        row = self._db.execute(_FOLDER + "WHERE id = ?", (pk,)).fetchone()
        return Folder(*row) if row else None

    def has_folder(self, address: str, name: str) -> bool:
        query = "SELECT 1 FROM folder WHERE address = ? AND name = ?"
        return self._db.execute(query, (address, name)).fetchone() is not None

    def create_folder(self, address: str, name: str, special_use: str = "") -> Folder:
        """Make a folder and the missing ones above it. Raises FolderExists."""
        if self.has_folder(address, name):
            raise FolderExists(f"The folder {name!r} exists already.")
        parts = name.split(DELIMITER)
        with self.transaction():
            for end in range(1, len(parts)):
                above = DELIMITER.join(parts[:end])
                if not self.has_folder(address, above):
                    self._insert_folder(address, above, "")
            self._insert_folder(address, name, special_use)
        return self.folder(address, name)

    def _insert_folder(self, address: str, name: str, special_use: str) -> None:
        self._db.execute(
            "INSERT INTO folder (address, name, special_use, uidvalidity) VALUES (?, ?, ?, ?)",
            (address, name, special_use, self._next_uidvalidity()),
        )

    def _next_uidvalidity(self) -> int:
        """A value never used before, so that a deleted and remade folder voids old UIDs (RFC 9051, 2.3.1.1)."""
        following = max(int(self.fact("uidvalidity") or 0) + 1, int(time.time()))
        self.remember("uidvalidity", str(following))
        return following

    def delete_folder(self, folder: Folder) -> None:
        """Remove a folder and its messages. Raises StoreError for INBOX and for a folder with folders below it."""
        if folder.name == INBOX:
            raise StoreError("INBOX cannot be deleted.")
        if any(other.name.startswith(folder.name + DELIMITER) for other in self.folders(folder.address)):
            raise StoreError(f"The folder {folder.name!r} has folders below it. Delete those first.")
        with self.transaction():
            self.expunge(folder.pk, self.uids(folder.pk))
            self._db.execute("DELETE FROM folder WHERE id = ?", (folder.pk,))
            self._touched.add(folder.pk)

    def rename_folder(self, folder: Folder, name: str) -> None:
        """Rename a folder and those below it; UIDs stay. INBOX gives its mail away instead (RFC 9051, 6.3.6).

        Raises FolderExists, and StoreError when a folder would end up below itself.
        """
        if self.has_folder(folder.address, name):
            raise FolderExists(f"The folder {name!r} exists already.")
        if name.startswith(folder.name + DELIMITER) and folder.name != INBOX:
            raise StoreError(f"The folder {folder.name!r} cannot move below itself.")
        with self.transaction():
            if folder.name == INBOX:
                self.move(folder.pk, self.uids(folder.pk), self.create_folder(folder.address, name).pk)
                return
            above = name.rpartition(DELIMITER)[0]
            if above and not self.has_folder(folder.address, above):
                self.create_folder(folder.address, above)
            for other in self.folders(folder.address):
                if other.name == folder.name or other.name.startswith(folder.name + DELIMITER):
                    renamed = name + other.name[len(folder.name) :]
                    self._db.execute("UPDATE folder SET name = ? WHERE id = ?", (renamed, other.pk))

    def subscribe(self, address: str, name: str) -> None:
        with self.transaction():
            self._db.execute("INSERT OR IGNORE INTO subscription VALUES (?, ?)", (address, name))

    def unsubscribe(self, address: str, name: str) -> None:
        with self.transaction():
            self._db.execute("DELETE FROM subscription WHERE address = ? AND name = ?", (address, name))

    def subscriptions(self, address: str) -> list[str]:
        query = "SELECT name FROM subscription WHERE address = ? ORDER BY name <> 'INBOX', name"
        return [name for (name,) in self._db.execute(query, (address,))]

    # Reading messages.

    def uids(self, folder_pk: int) -> list[int]:
        """All UIDs, ascending."""
        return [uid for (uid,) in self._db.execute("SELECT uid FROM message WHERE folder_id = ?", (folder_pk,))]

    def rows(self, folder_pk: int, uids: Sequence[int]) -> list[Row]:
        """The messages with these UIDs, ascending; those that are gone are left out."""
        query = _ROW + _CHOSEN + "ORDER BY uid"
        return [_row(row) for row in self._db.execute(query, (folder_pk, json.dumps(uids)))]

    def changed_rows(self, folder_pk: int, since: int) -> list[Row]:
        """The messages that came or changed their flags after the folder's modseq was `since`."""
        query = _ROW + "WHERE folder_id = ? AND modseq > ? ORDER BY uid"
        return [_row(row) for row in self._db.execute(query, (folder_pk, since))]

    def first_unseen(self, folder_pk: int) -> int | None:
        """The lowest UID without \\Seen."""
        query = r"SELECT min(uid) FROM message WHERE folder_id = ? AND instr(flags, '\Seen') = 0"
        uid: int | None = self._db.execute(query, (folder_pk,)).fetchone()[0]
        return uid

    def counts(self, folder: Folder) -> Counts:
        query = r"""
            SELECT count(*), coalesce(sum(instr(flags, '\Seen') = 0), 0),
                   coalesce(sum(instr(flags, '\Deleted') > 0), 0), coalesce(sum(uid >= ?), 0), coalesce(sum(size), 0)
            FROM message WHERE folder_id = ?"""
        return Counts(*self._db.execute(query, (folder.recent_from, folder.pk)).fetchone())

    def raw(self, content_pk: int) -> bytes:
        """The octets of a message. Raises StoreError when its last copy was expunged meanwhile."""
        row = self._db.execute("SELECT raw FROM content WHERE id = ?", (content_pk,)).fetchone()
        if row is None:
            raise StoreError("The message was expunged meanwhile.")
        return bytes(row[0])

    # Changing messages.

    def add(self, folder_pks: Iterable[int], raw: bytes, *, flags: Flags, internal_at: int) -> list[int]:
        """Put one message into several folders at once; return its UID in each."""
        with self.transaction():
            content_pk = self._db.execute("INSERT INTO content (raw) VALUES (?)", (raw,)).lastrowid or 0
            row = Row(0, content_pk, len(raw), flags, internal_at)
            return [self._insert(folder_pk, row) for folder_pk in folder_pks]

    def _insert(self, folder_pk: int, row: Row) -> int:
        uid, modseq = self._db.execute(
            "UPDATE folder SET uidnext = uidnext + 1, modseq = modseq + 1 WHERE id = ? RETURNING uidnext - 1, modseq",
            (folder_pk,),
        ).fetchone()
        self._db.execute(
            "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?)",
            (folder_pk, uid, row.content_pk, row.size, _flag_text(row.flags), row.internal_at, modseq),
        )
        self._touched.add(folder_pk)
        return int(uid)

    def set_flags(self, folder_pk: int, flags_by_uid: dict[int, Flags]) -> None:
        """Give each of these messages exactly these flags."""
        if not flags_by_uid:
            return
        with self.transaction():
            modseq = self._bump(folder_pk)
            self._db.executemany(
                "UPDATE message SET flags = ?, modseq = ? WHERE folder_id = ? AND uid = ?",
                [(_flag_text(flags), modseq, folder_pk, uid) for uid, flags in flags_by_uid.items()],
            )

    def copy(self, folder_pk: int, uids: Sequence[int], target_pk: int) -> dict[int, int]:
        """Copy messages, flags and internal date too; return the new UID by the old one."""
        with self.transaction():
            return {row.uid: self._insert(target_pk, row) for row in self.rows(folder_pk, uids)}

    def move(self, folder_pk: int, uids: Sequence[int], target_pk: int) -> dict[int, int]:
        """Copy and expunge in one step (RFC 6851); return the new UID by the old one."""
        with self.transaction():
            moved = self.copy(folder_pk, uids, target_pk)
            self.expunge(folder_pk, list(moved))
            return moved

    def expunge(self, folder_pk: int, uids: Sequence[int]) -> None:
        """Remove messages for good; the octets go with the last copy."""
        if not uids:
            return
        chosen = (folder_pk, json.dumps(uids))
        with self.transaction():
            self._bump(folder_pk)
            contents = self._db.execute("DELETE FROM message " + _CHOSEN + "RETURNING content_id", chosen).fetchall()  # noqa: S608
            self._db.executemany(
                "DELETE FROM content WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM message WHERE content_id = ?1)",
                contents,
            )

    def claim_recent(self, folder: Folder) -> None:
        """Note that a session has been told of the folder's recent messages (RFC 3501, 2.3.2)."""
        if folder.recent_from == folder.uidnext:
            return
        with self.transaction():
            self._db.execute("UPDATE folder SET recent_from = uidnext WHERE id = ?", (folder.pk,))

    def _bump(self, folder_pk: int) -> int:
        query = "UPDATE folder SET modseq = modseq + 1 WHERE id = ? RETURNING modseq"
        self._touched.add(folder_pk)
        return int(self._db.execute(query, (folder_pk,)).fetchone()[0])

    # First meetings of sender and recipient, for the address that defers them.

    def first_met_at(self, sender: str, recipient: str, now: int) -> int:
        """When this pair was first seen (Unix time); now, and remembered, if never."""
        with self.transaction():
            self._db.execute("INSERT OR IGNORE INTO greeting VALUES (?, ?, ?)", (sender, recipient, now))
            query = "SELECT first_at FROM greeting WHERE sender = ? AND recipient = ?"
            return int(self._db.execute(query, (sender, recipient)).fetchone()[0])

    def forget_meeting(self, sender: str, recipient: str) -> None:
        with self.transaction():
            self._db.execute("DELETE FROM greeting WHERE sender = ? AND recipient = ?", (sender, recipient))


def _row(row: tuple[int, int, int, str, int]) -> Row:
    uid, content_pk, size, flags, internal_at = row
    return Row(uid, content_pk, size, frozenset(flags.split()), internal_at)


def _flag_text(flags: Flags) -> str:
    return " ".join(sorted(flags))
