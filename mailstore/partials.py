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

    Raises OSError; a disk without room is told by `place`. Where one takes no more in the middle of a message, what it
    took of that is given back.
    """

    def __init__(self, folder: Folder, uid: int) -> None:
        self._mailbox_pk = folder.mailbox_id
        self._directory = _directory(folder)
        self._key = f"{folder.pk}-{folder.epoch}-{uid}"
        self._full: StorageFull | None = None
        self._descriptor: int | None = None
        self._digest = hashlib.sha256()
        self.size = self._settled = 0
        try:
            self._open()
        except OSError as exc:
            self._shut()
            self._full = no_room(exc)
            if self._full is None:
                raise
        self.began_at = self.size

    @property
    def is_lost(self) -> bool:
        """There was no room: what still comes is let go, and `place` will say so."""
        return self._full is not None

    def take(self, octets: bytes | memoryview) -> None:
        """Add octets. Every four megabytes they are made safe from any crash."""
        if self._descriptor is None:
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
        """Give the whole message its lasting place. Raises StorageFull; ClaimLost where a newer claim took it over;
        OSError. Whatever is raised, what was settled is kept for the next run, for which nobody holds it any more.
        """
        if self._full is not None:
            raise self._full
        if not self.size:
            self._shut()
            raise OSError("A large message has no octets.")
        try:
            return self._place()
        except OSError as exc:
            if full := no_room(exc):
                raise full from exc
            raise
        finally:
            self._shut()

    def _place(self) -> Location:
        self._settle()
        directory, name = directory_of(self._mailbox_pk), f"{self._digest.hexdigest()}.message"
        try:
            os.replace(self._path(), directory / name)  # the same octets, should they be there already
        except FileNotFoundError as exc:
            raise ClaimLost from exc
        for changed in (directory, directory.parent):
            settle_directory(changed)
        faultpoint("large message placed")
        return Location(name, 0, self.size)

    def close(self) -> None:
        """Keep what there is for the next run."""
        if self._descriptor is not None:
            with suppress(OSError, ClaimLost):
                self._settle()
        self._shut()

    def drop(self) -> None:
        """Remove it: there is no room, or the message is gone. What a disk refuses to remove is found by `begun`."""
        with suppress(OSError):
            self._path().unlink(missing_ok=True)
        self._shut()

    def _shut(self) -> None:
        """Let go of the file, and of its lock."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _open(self) -> None:
        """Go on with what there is. Where another worker still holds it, that one's claim has passed: begin anew."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for path in self._directory.glob(f"{self._key}-*.part"):
            if (found := _NAME.fullmatch(path.name)) and self._goes_on(path, int(found[4])):
                return
            self._shut()
            path.unlink(missing_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._descriptor = os.open(self._path(), flags, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        faultpoint("large message begun")

    def _goes_on(self, path: Path, settled: int) -> bool:
        """Take the octets of `path` that are on the disk for certain; False where it is held, or shorter than that."""
        descriptor = self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if settled > os.fstat(descriptor).st_size:
            return False
        os.ftruncate(descriptor, settled)
        for offset in range(0, settled, READ_AT_ONCE):
            self._digest.update(os.pread(descriptor, min(READ_AT_ONCE, settled - offset), offset))
        self.size = self._settled = settled
        return True

    def _settle(self) -> None:
        if self._descriptor is None or self.size == self._settled:
            return
        os.fdatasync(self._descriptor)
        try:
            os.rename(self._path(), self._path(self.size))
        except FileNotFoundError as exc:
            raise ClaimLost from exc
        self._settled = self.size
        faultpoint("piece settled")

    def _path(self, settled: int | None = None) -> Path:
        return self._directory / f"{self._key}-{self._settled if settled is None else settled}.part"


def _directory(folder: Folder) -> Path:
    return directory_of(folder.mailbox_id) / DIRECTORY


def _is_forgotten(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > FORGOTTEN_AFTER
    except FileNotFoundError:
        return False
