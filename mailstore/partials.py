"""Large messages on their way: each in a file of its own, from which the next run goes on where the line broke.

`MAIL_DIR/<mailbox>/partial/<folder>-<uidvalidity>-<uid>-<settled>.part` holds the beginning of a message. Of its octets
`settled` are on the disk for certain; what lies behind them after a crash is cut off. Once whole it becomes
`MAIL_DIR/<mailbox>/<SHA-256>.message`, which is never written to again: the same large message in another folder, or
fetched a second time, takes no second place.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from mailstore.models import Folder
from mailstore.packs import Location, StorageFull, Unnamed, directory_of, no_room, remove_file, settle_directory
from mailstore.writing import ClaimLost
from organizations.faultpoints import faultpoint

DIRECTORY: Final = "partial"
SETTLED_EVERY = 4 * 1024 * 1024  # octets
FORGOTTEN_AFTER = 30 * 24 * 3600.0  # seconds without an octet more
READ_AT_ONCE = 1024 * 1024  # octets

_NAME: Final = re.compile(r"(\d+)-(\d+)-(\d+)-(\d+)\.part", re.ASCII)


def begun(folder: Folder) -> list[int]:
    """Return the UIDs of messages of `folder` of which there is a beginning. What nobody will ask for is removed."""
    directory = _directory(folder)
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    uids = []
    for name in names:
        if (found := _NAME.fullmatch(name)) is None:
            continue
        folder_pk, epoch, uid, _ = map(int, found.groups())
        if folder_pk == folder.pk and epoch == folder.epoch:
            uids.append(uid)
        elif folder_pk == folder.pk or _is_forgotten(directory / name):
            (directory / name).unlink(missing_ok=True)
    return uids


def remove_begun(mailbox_pk: int, before: datetime, unnamed: Unnamed) -> None:
    """Delete what a mailbox has of large messages that has not grown since `before`, unless somebody writes to it.
    Raises OSError, and what `unnamed` raises.
    """
    directory = directory_of(mailbox_pk) / DIRECTORY
    with suppress(FileNotFoundError):
        for name in os.listdir(directory):
            path = directory / name
            if _NAME.fullmatch(name) and path.stat().st_mtime <= before.timestamp():
                remove_file(path, unnamed)


class Partial:
    """The beginning of one message, which grows with `take` until it is `place`d, kept by `close` or dropped.

    size:     octets it has.
    began_at: octets that it had before.

    Raises OSError; a disk without room is told by `place`, and what was taken is given back.
    """

    def __init__(self, folder: Folder, uid: int) -> None:
        self._mailbox_pk = folder.mailbox_id
        self._directory = _directory(folder)
        self._key = f"{folder.pk}-{folder.epoch}-{uid}"
        self._full: StorageFull | None = None
        self._descriptor, self.size = self._open()
        self.began_at = self._settled = self.size
        self._digest = hashlib.sha256()
        for offset in range(0, self.size, READ_AT_ONCE):
            self._digest.update(os.pread(self._descriptor, min(READ_AT_ONCE, self.size - offset), offset))

    def take(self, octets: bytes | memoryview) -> None:
        """Add octets. Every four megabytes they are made safe from any crash."""
        if self._full is not None:
            return  # what still comes is let go
        try:
            view = memoryview(octets)
            while view:
                written = os.write(self._descriptor, view[: SETTLED_EVERY - self.size % SETTLED_EVERY])
                self._digest.update(view[:written])
                self.size += written
                view = view[written:]
                if self.size % SETTLED_EVERY == 0:
                    self._settle()
        except OSError as exc:
            self._full = no_room(exc)
            if self._full is None:
                raise
            self.drop()

    def place(self) -> Location:
        """Give the whole message its lasting place. Raises StorageFull; ClaimLost where a newer claim took it over."""
        if self._full is not None:
            raise self._full
        if not self.size:
            raise OSError("A large message has no octets.")
        self._settle()
        directory, name = directory_of(self._mailbox_pk), f"{self._digest.hexdigest()}.message"
        try:
            os.replace(self._path(), directory / name)  # the same octets, should they be there already
        except FileNotFoundError as exc:
            raise ClaimLost from exc
        for changed in (directory, directory.parent):
            settle_directory(changed)
        os.close(self._descriptor)
        faultpoint("large message placed")
        return Location(name, 0, self.size)

    def close(self) -> None:
        """Keep what there is for the next run."""
        if self._full is None:
            with suppress(OSError, ClaimLost):
                self._settle()
            os.close(self._descriptor)

    def drop(self) -> None:
        """Remove it: there is no room, or the message is gone."""
        self._path().unlink(missing_ok=True)
        os.close(self._descriptor)

    def _open(self) -> tuple[int, int]:
        """Go on with what there is. Where another worker still holds it, that one's claim has passed: begin anew."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for path in self._directory.glob(f"{self._key}-*.part"):
            found = _NAME.fullmatch(path.name)
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found = None
            self._settled = int(found[4]) if found else 0
            if found and self._settled <= os.fstat(descriptor).st_size:
                os.ftruncate(descriptor, self._settled)
                return descriptor, self._settled
            os.close(descriptor)
            path.unlink(missing_ok=True)
        self._settled = 0
        descriptor = os.open(self._path(), os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        faultpoint("large message begun")
        return descriptor, 0

    def _settle(self) -> None:
        if self.size == self._settled:
            return
        os.fdatasync(self._descriptor)
        before, self._settled = self._path(), self.size
        try:
            os.rename(before, self._path())
        except FileNotFoundError as exc:
            raise ClaimLost from exc
        faultpoint("piece settled")

    def _path(self) -> Path:
        return self._directory / f"{self._key}-{self._settled}.part"


def _directory(folder: Folder) -> Path:
    return directory_of(folder.mailbox_id) / DIRECTORY


def _is_forgotten(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > FORGOTTEN_AFTER
    except FileNotFoundError:
        return False
