"""The octets of one message: in memory, or, where they are many, as a mapped file that is never in memory whole."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias

if TYPE_CHECKING:
    from typing_extensions import Buffer

LARGE_MESSAGE = 25 * 1024 * 1024  # octets; above, a message is read from its file in pieces
WINDOW = 1024 * 1024  # octets looked at in one step
_FIRST_LOOK = 4 * 1024  # octets; most of what is searched for is near


class MappedOctets(mmap.mmap):
    """A file that reads like `bytes`, as far as our parser asks. Pages it has passed are given back to the system.

    Open with `MappedOctets.of`. The file must not shrink as long as it is mapped; it is closed with its last reference.
    """

    @classmethod
    def of(cls, path: Path | str, size: int) -> Self:
        """Map the first `size` octets, at least one. Raises OSError, also where the file is shorter."""
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size < size:
                raise OSError(errno.EIO, "it is cut short")
            return cls(file.fileno(), size, access=mmap.ACCESS_READ)

    def find(self, sub: Buffer, start: int = 0, stop: int | None = None) -> int:
        """Like `bytes.find`, without negative offsets."""
        stop = len(self) if stop is None else min(stop, len(self))
        overlap = len(memoryview(sub)) - 1
        step = _FIRST_LOOK
        while start < stop:
            end = min(stop, start + step)
            found = self[start : min(stop, end + overlap)].find(sub)
            if found >= 0:
                return start + found
            self._pass(start, end)
            start, step = end, min(2 * step, WINDOW)
        return -1

    def startswith(self, prefix: bytes, start: int = 0, stop: int | None = None) -> bool:
        end = start + len(prefix)
        return end <= (len(self) if stop is None else stop) and self[start:end] == prefix

    def count(self, sub: bytes, start: int = 0, stop: int | None = None) -> int:
        """Count single octets; longer strings could lie across two pieces."""
        return sum(piece.count(sub) for piece in pieces(self, start, len(self) if stop is None else stop))

    def _pass(self, start: int, stop: int) -> None:
        """Let go of the whole pages in between."""
        start = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        stop = stop // mmap.PAGESIZE * mmap.PAGESIZE
        if start < stop:
            self.madvise(mmap.MADV_DONTNEED, start, stop - start)


Octets: TypeAlias = bytes | MappedOctets


def octets_of(path: Path | str) -> Octets:
    """Return the octets of a file, mapped where they are many. Raises OSError."""
    size = os.stat(path).st_size
    return MappedOctets.of(path, size) if size > LARGE_MESSAGE else Path(path).read_bytes()


def pieces(raw: Octets, start: int = 0, stop: int | None = None, *, size: int = WINDOW) -> Iterator[bytes]:
    """Yield raw[start:stop] in pieces of at most `size` octets."""
    stop = len(raw) if stop is None else min(stop, len(raw))
    for begin in range(start, stop, size):
        end = min(stop, begin + size)
        yield raw[begin:end]
        if isinstance(raw, MappedOctets):
            raw._pass(begin, end)


def digest_of(raw: Octets) -> bytes:
    """Return the SHA-256."""
    if isinstance(raw, bytes):
        return hashlib.sha256(raw).digest()
    digest = hashlib.sha256()
    for piece in pieces(raw):
        digest.update(piece)
    return digest.digest()
