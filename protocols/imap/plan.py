"""Deciding what to ask of a folder: pure, no socket.

UIDs are walked by ranges, newest first. A folder may hold one message with UID 4,294,967,294, so where EXISTS is far
below UIDNEXT the messages are walked by their numbers instead.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from protocols.errors import ProtocolViolation

HIGHEST_UID = 2**32 - 1
SET_LENGTH = 4000  # octets of one sequence set; servers refuse command lines much beyond 8,000
SPARSE_FACTOR = 50  # UIDs per message above which numbers are walked instead of UIDs


@dataclass(frozen=True, slots=True)
class FolderState:
    """What EXAMINE reported, or what we stored after the previous run.

    uidvalidity:   epoch of the UIDs (RFC 9051, 2.3.1.1).
    uidnext:       the UID that the next message will get, or a higher one.
    exists:        messages in the folder.
    highestmodseq: change counter (RFC 7162); None without CONDSTORE.
    mailboxid:     the folder's lasting identity, whatever its name (RFC 8474), told when it is opened; empty without.
    """

    uidvalidity: int
    uidnext: int = 1
    exists: int = 0
    highestmodseq: int | None = None
    mailboxid: str = ""


class UidSet:
    """An immutable set of UIDs kept as ranges, so that 200,000 of them take a few dozen octets."""

    __slots__ = ("_spans",)

    def __init__(self, uids: Iterable[int | range] = ()) -> None:
        """Take UIDs and ranges (step 1) in any order, overlapping or not."""
        spans = sorted((item.start, item.stop) if isinstance(item, range) else (item, item + 1) for item in uids)
        merged: list[tuple[int, int]] = []
        for start, stop in spans:
            if start >= stop:
                continue
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
            else:
                merged.append((start, stop))
        self._spans = tuple(merged)

    @classmethod
    def parse(cls, text: str) -> UidSet:
        """Read "1:5,9" (RFC 9051 sequence-set, without `*`). Raises ProtocolViolation on anything else."""
        return cls(_span(part) for part in text.split(",")) if text else cls()

    def __str__(self) -> str:
        """The sequence-set "1:5,9"; empty for the empty set."""
        return ",".join(_written(start, stop) for start, stop in self._spans)

    def __repr__(self) -> str:
        return f"UidSet.parse({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UidSet) and self._spans == other._spans

    def __hash__(self) -> int:
        return hash(self._spans)

    def __len__(self) -> int:
        return sum(stop - start for start, stop in self._spans)

    def __bool__(self) -> bool:
        return bool(self._spans)

    def __iter__(self) -> Iterator[int]:
        for span in self.ranges():
            yield from span

    def __contains__(self, uid: object) -> bool:
        return isinstance(uid, int) and self.covers(uid, uid + 1)

    def __or__(self, other: UidSet) -> UidSet:
        return UidSet((*self.ranges(), *other.ranges()))

    def __sub__(self, other: UidSet) -> UidSet:
        return UidSet(gap for span in self.ranges() for gap in other.missing(span))

    def __and__(self, other: UidSet) -> UidSet:
        return self - (self - other)

    @property
    def lowest(self) -> int:
        """Raises IndexError for the empty set."""
        return self._spans[0][0]

    @property
    def highest(self) -> int:
        """Raises IndexError for the empty set."""
        return self._spans[-1][1] - 1

    def ranges(self) -> Iterator[range]:
        """Yield the runs of consecutive UIDs, lowest first."""
        return (range(start, stop) for start, stop in self._spans)

    def covers(self, start: int, stop: int) -> bool:
        """Tell whether every UID from `start` up to but not including `stop` is in the set."""
        index = bisect_right(self._spans, start, key=lambda span: span[0]) - 1
        return start >= stop or (index >= 0 and self._spans[index][1] >= stop)

    def missing(self, span: range) -> Iterator[range]:
        """Yield the parts of `span` that are not in the set, lowest first."""
        position = span.start
        index = max(0, bisect_right(self._spans, span.start, key=lambda held: held[0]) - 1)
        for start, stop in self._spans[index:]:
            if start >= span.stop:
                break
            if start > position:
                yield range(position, start)
            position = max(position, stop)
        if position < span.stop:
            yield range(position, span.stop)

    def chunks(self, length: int = SET_LENGTH) -> Iterator[UidSet]:
        """Split into sets whose text is at most about `length` octets: servers limit the command line."""
        chunk: list[range] = []
        size = 0
        for span in self.ranges():
            written = len(_written(span.start, span.stop)) + 1
            if chunk and size + written > length:
                yield UidSet(chunk)
                chunk, size = [], 0
            chunk.append(span)
            size += written
        if chunk:
            yield UidSet(chunk)


def next_ranges(done: UidSet, uidnext: int, size: int) -> Iterator[range]:
    """Yield the UID ranges still to fetch, newest first, at most `size` UIDs each.

    Walks down from UIDNEXT - 1 (RFC 9051, 2.3.1.1), so that no reply lists a whole folder. Where `is_sparse` says
    so the caller walks `number_ranges` instead.
    """
    for gap in reversed(list(done.missing(range(1, min(uidnext, HIGHEST_UID + 1))))):
        for stop in range(gap.stop, gap.start, -size):
            yield range(max(gap.start, stop - size), stop)


def is_sparse(state: FolderState, size: int) -> bool:
    """Tell whether walking UIDs in ranges of `size` would mostly ask for messages that do not exist."""
    return state.uidnext > max(state.exists, size) * SPARSE_FACTOR


def number_ranges(exists: int, size: int) -> Iterator[range]:
    """Yield message number ranges, newest first, at most `size` each.

    Numbers shift down when older messages are expunged in between, so walking down may show a message twice but
    never leaves one out.
    """
    for stop in range(exists + 1, 1, -size):
        yield range(max(1, stop - size), stop)


def epoch_changed(stored: FolderState | None, selected: FolderState) -> bool:
    """Tell whether stored UIDs are void: any *change* of UIDVALIDITY, a smaller value too."""
    return stored is not None and stored.uidvalidity != selected.uidvalidity


def _span(text: str) -> range:
    first, colon, last = text.partition(":")
    bounds = (first, last if colon else first)
    if not all(bound.isascii() and bound.isdigit() and len(bound) <= 10 for bound in bounds):
        raise ProtocolViolation("The server sent a list of messages that cannot be read.", reply=text[:100])
    low, high = sorted(map(int, bounds))
    if low < 1 or high > HIGHEST_UID:
        raise ProtocolViolation("The server sent a message number that is out of range.", reply=text[:100])
    return range(low, high + 1)


def _written(start: int, stop: int) -> str:
    return str(start) if stop - start == 1 else f"{start}:{stop - 1}"
