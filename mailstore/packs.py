"""Where the untouched octets of messages lie: append-only pack files, many messages in each.

`MAIL_DIR/<mailbox>/<fence>-<number>.pack` holds raw messages end to end and nothing else; the message's row says where
(`pack`, `offset`, `stored_size`). Messages over 25 MB lie in files of their own (see `partials.py`). Octets reach the
disk before the row that names them is committed, so whatever no row names, such as the tail that a killed worker left,
is garbage by design and does no harm.

One writer per file: a file is written only under its lock, and a new name carries the fencing number of the claim, so
a worker whose claim has passed can never write into what a newer one is writing.
Why packs: docs/decisions/0002-raw-mail-in-pack-files.md.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from django.conf import settings

from organizations.faultpoints import faultpoint
from protocols.message.octets import LARGE_MESSAGE, MappedOctets, Octets

if TYPE_CHECKING:
    from types import TracebackType

    from mailstore.models import Message

GOES_ON: Final = "goes on once there is"  # how every sentence about missing room ends
ROLL_AT = 128 * 1024 * 1024  # octets after which the next message begins a new pack

_NAME = re.compile(r"(\d+)-(\d+)\.pack", re.ASCII)
_LARGE = re.compile(r"[0-9a-f]{64}\.message", re.ASCII)  # see `partials.py`
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})


class StorageFull(Exception):
    """The disk took no more octets. Nothing that was stored is lost; the sync goes on once there is room."""


class RawUnavailable(Exception):
    """The stored octets of a message cannot be read back: the pack is missing, too short or damaged."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where one message lies. offset and size in octets. is_shared: some other row named it before."""

    pack: str
    offset: int
    size: int
    is_shared: bool = False


def directory_of(mailbox_pk: int) -> Path:
    """Return the directory that holds the packs of one mailbox; it may not exist yet."""
    return Path(settings.MAIL_DIR) / str(int(mailbox_pk))


def read_raw(message: Message, *, verify: bool = False) -> bytes:
    """Return the octets of `message` as the server sent them; `verify` compares their SHA-256 with the stored one.

    Raises RawUnavailable. What may be large is rather opened with `open_raw`.
    """
    path = _path(message.mailbox_id, message.pack)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as exc:
        raise RawUnavailable(f"The stored copy of this message cannot be opened: {exc.strerror}.") from exc
    try:
        raw = _read_exactly(descriptor, message.stored_size, message.offset)
    except OSError as exc:
        raise RawUnavailable(f"The stored copy of this message cannot be read: {exc.strerror}.") from exc
    finally:
        os.close(descriptor)
    if len(raw) != message.stored_size:
        raise RawUnavailable("The stored copy of this message is cut short.")
    if verify and hashlib.sha256(raw).digest() != bytes(message.sha256):
        raise RawUnavailable("The stored copy of this message is damaged.")
    return raw


def read_beginning(message: Message, most: int) -> bytes:
    """Return up to `most` octets from the beginning of `message`. Raises RawUnavailable."""
    path, wanted = _path(message.mailbox_id, message.pack), min(most, message.stored_size)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            raw = _read_exactly(descriptor, wanted, message.offset)
        finally:
            os.close(descriptor)
    except OSError as exc:
        raise RawUnavailable(f"The stored copy of this message cannot be read: {exc.strerror}.") from exc
    if len(raw) != wanted:
        raise RawUnavailable("The stored copy of this message is cut short.")
    return raw


def open_raw(message: Message) -> Octets:
    """Return the octets of `message`; a large one is mapped, not read into memory. Raises RawUnavailable."""
    if message.stored_size <= LARGE_MESSAGE or message.offset:
        return read_raw(message)
    try:
        return MappedOctets.of(_path(message.mailbox_id, message.pack), message.stored_size)
    except OSError as exc:
        raise RawUnavailable(f"The stored copy of this message cannot be opened: {exc.strerror}.") from exc


def remove_mailbox(mailbox_pk: int) -> None:
    """Delete every stored octet of a mailbox. Call it after the deletion of its rows is committed. Raises OSError."""
    with suppress(FileNotFoundError):
        shutil.rmtree(directory_of(mailbox_pk))


#: A block in which the answer holds whether no row names a file, nor will.
Unnamed = Callable[[str], AbstractContextManager[bool]]


def remove_unnamed(mailbox_pk: int, fence: int, unnamed: Unnamed) -> None:
    """Delete large messages of a mailbox, and packs that claims up to `fence` began, unless somebody writes to them.
    Raises OSError, and what `unnamed` raises.
    """
    directory = directory_of(mailbox_pk)
    with suppress(FileNotFoundError):
        for name in os.listdir(directory):
            pack = _NAME.fullmatch(name)
            if int(pack[1]) <= fence if pack else _LARGE.fullmatch(name):
                remove_file(directory / name, unnamed)


def remove_file(path: Path, unnamed: Unnamed) -> None:
    """Delete one file, unless somebody writes to it. Raises OSError, and what `unnamed` raises."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with unnamed(path.name) as may_go:
            if may_go:
                path.unlink()
    except BlockingIOError:
        pass  # it is swept up later
    finally:
        os.close(descriptor)


class PackWriter:
    """Appends messages of one mailbox under one claim. Use as a context manager; nothing is opened before `append`.

    `append` only hands the octets to the operating system: call `settle` before committing rows that name them.
    Both raise StorageFull. One thread may append while another settles and stores.
    """

    def __init__(self, mailbox_pk: int, fence: int, *, roll_at: int = ROLL_AT) -> None:
        self._directory = directory_of(mailbox_pk)
        self._fence = fence
        self._roll_at = roll_at
        self._descriptor: int | None = None
        self._name = ""
        self._end = 0
        self._settled_end = 0
        self._unsettled = False
        self._lost: StorageFull | None = None
        self._takes_no_more = False
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._cut_off_unsettled()
        self._close()

    def append(self, raw: bytes) -> Location:
        """Write one message; return where it lies."""
        with self._lock:
            if self._takes_no_more:
                raise StorageFull(f"There was no room for what belongs to stored mail. Sync {GOES_ON}.")
            try:
                return self._append(raw)
            except OSError as exc:
                if full := no_room(exc):
                    raise full from exc
                raise

    def _append(self, raw: bytes) -> Location:
        if self._descriptor is not None and self._end >= self._roll_at:
            self.settle()
            self._close()
        if self._descriptor is None:
            self._open()
        place = Location(self._name, self._end, len(raw))
        self._unsettled = True
        try:
            self._write(raw)
        except OSError:
            self._cut_off(place)
            raise
        return place

    def give_back(self, place: Location) -> None:
        """Cut the pack off where `place` begins, and take nothing more, which would eat the room again.

        Only for octets that no row names, nor anything behind them.
        """
        with self._lock:
            self._takes_no_more = True
            self._cut_off(place)

    def _cut_off(self, place: Location) -> None:
        if self._descriptor is not None and place.pack == self._name and place.offset < self._end:
            with suppress(OSError):
                os.ftruncate(self._descriptor, place.offset)
                self._end = place.offset
                self._settled_end = min(self._settled_end, place.offset)

    def path_of(self, place: Location) -> str:
        """Return the file in which a message of this mailbox lies."""
        return f"{self._directory}/{place.pack}"

    def settle(self) -> None:
        """Force everything that was appended onto the disk. Once that failed it is never tried again.

        Linux tells of octets it could not write once only; the next try would succeed without them.
        """
        with self._lock:
            if self._lost is not None:
                raise self._lost
            if self._descriptor is not None and self._unsettled:
                try:
                    os.fdatasync(self._descriptor)
                except OSError as exc:
                    if full := no_room(exc):
                        self._lost = full
                        raise full from exc
                    raise
                self._unsettled = False
                self._settled_end = self._end
                faultpoint("pack settled")

    def _cut_off_unsettled(self) -> None:
        """Give back what no row names, or tries on a full disk would eat the room that somebody makes."""
        if self._descriptor is not None and self._unsettled:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._settled_end)

    def _write(self, raw: bytes) -> None:
        assert self._descriptor is not None
        view = memoryview(raw)
        try:
            while view:
                written = os.write(self._descriptor, view)
                view = view[written:]
        finally:
            self._end += len(raw) - len(view)

    def _open(self) -> None:
        """Go on with the mailbox's newest pack if it has room and nobody holds it; otherwise begin a new one."""
        self._directory.mkdir(parents=True, exist_ok=True)
        numbers = sorted(
            (int(match[1]), int(match[2])) for match in map(_NAME.fullmatch, os.listdir(self._directory)) if match
        )
        if numbers and self._take(self._directory / _pack_name(*numbers[-1])):
            return
        number = max((number for fence, number in numbers if fence == self._fence), default=0) + 1
        path = self._directory / _pack_name(self._fence, number)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._descriptor, self._name, self._end = descriptor, path.name, 0
        self._settled_end = 0
        settle_directory(self._directory)
        if not numbers:
            settle_directory(self._directory.parent)
        faultpoint("pack begun")

    def _take(self, path: Path) -> bool:
        """Open an existing pack under its lock; False where it is full, held by another writer, or just gone."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        status = os.fstat(descriptor)
        end = status.st_size
        if end >= self._roll_at or not status.st_nlink:  # full, or removed while we opened it
            os.close(descriptor)
            return False
        self._descriptor, self._name, self._end = descriptor, path.name, end
        self._settled_end = end
        return True

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)  # drops the lock too
        self._descriptor = None


def _pack_name(fence: int, number: int) -> str:
    return f"{fence}-{number}.pack"


def _path(mailbox_pk: int, pack: str) -> Path:
    if not (_NAME.fullmatch(pack) or _LARGE.fullmatch(pack)):
        raise RawUnavailable("The stored copy of this message has no place on the disk.")
    return directory_of(mailbox_pk) / pack


def _read_exactly(descriptor: int, size: int, offset: int) -> bytes:
    """Read up to `size` octets; fewer only at the end of the file (one call reads at most 2 GiB on Linux)."""
    raw = os.pread(descriptor, size, offset)
    if len(raw) == size or not raw:
        return raw
    pieces = [raw]
    done = len(raw)
    while done < size and (piece := os.pread(descriptor, size - done, offset + done)):
        pieces.append(piece)
        done += len(piece)
    return b"".join(pieces)


def settle_directory(path: Path) -> None:
    """Make new names in a directory survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def no_room(exc: OSError) -> StorageFull | None:
    """Tell whether `exc` says that the disk takes no more; None where it says something else."""
    if exc.errno not in _NO_SPACE:
        return None
    why = "it is read-only" if exc.errno == errno.EROFS else "it is full"
    return StorageFull(f"The disk for stored mail takes no more: {why}. Sync {GOES_ON} room.")
