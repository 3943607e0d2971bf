"""Raw octets on the disk: what was appended comes back, whoever writes beside us, and a full disk is said plainly."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from mailstore import packs
from mailstore.packs import (
    Location,
    PackWriter,
    RawUnavailable,
    StorageFull,
    directory_of,
    read_raw,
    remove_mailbox,
    remove_unnamed,
)


def row(place: Location, raw: bytes = b"") -> SimpleNamespace:
    return SimpleNamespace(
        mailbox_id=1, pack=place.pack, offset=place.offset, stored_size=place.size, sha256=hashlib.sha256(raw).digest()
    )


def append(raw: bytes, *, fence: int = 1) -> Location:
    with PackWriter(1, fence) as writer:
        place = writer.append(raw)
        writer.settle()
    return place


@pytest.mark.proves("V3")
def test_any_octets_come_back_unchanged():
    messages = [b"", b"\0\r\n\xff" * 1000, b"From x\n.\r\n", os.urandom(100_000)]
    with PackWriter(1, 1) as writer:
        places = [writer.append(raw) for raw in messages]
        writer.settle()
    assert [read_raw(row(place, raw), verify=True) for place, raw in zip(places, messages, strict=True)] == messages


def test_a_later_claim_goes_on_with_the_same_pack_so_that_files_stay_few():
    first = append(b"one", fence=1)
    second = append(b"two", fence=2)
    assert (second.pack, second.offset) == (first.pack, 3)


@pytest.mark.proves("R34")
def test_a_stale_writer_and_a_newer_one_never_share_a_file():
    with PackWriter(1, 1) as stale, PackWriter(1, 2) as newer:
        before = stale.append(b"stale")
        beside = newer.append(b"newer")
        after = stale.append(b"again")
        assert before.pack == after.pack != beside.pack
        assert read_raw(row(beside)) == b"newer"


@pytest.mark.proves("R1")
def test_the_tail_a_killed_worker_left_is_never_overwritten_and_harms_nobody():
    append(b"committed")
    place = append(b"left by a worker that died before its commit")
    after = append(b"next")
    assert after.offset == place.offset + place.size
    assert read_raw(row(after)) == b"next"


def test_a_full_pack_is_followed_by_another():
    with PackWriter(1, 5, roll_at=10) as writer:
        places = [writer.append(b"123456") for _ in range(4)]
    assert [place.pack for place in places] == ["5-1.pack", "5-1.pack", "5-2.pack", "5-2.pack"]
    assert append(b"x", fence=6).pack == "5-2.pack"


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "full"), (errno.EDQUOT, "full"), (errno.EROFS, "read-only")]
)
@pytest.mark.proves("R23")
def test_a_disk_that_takes_no_more_is_said_in_a_sentence(monkeypatch, code, words):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    with PackWriter(1, 1) as writer:
        writer.append(b"fits")
        monkeypatch.setattr(packs.os, "write", refuse)
        with pytest.raises(StorageFull, match=words):
            writer.append(b"does not")


@pytest.mark.proves("R23")
def test_a_write_that_stopped_half_way_gives_its_room_to_the_next_message(monkeypatch):
    write = os.write

    def half(descriptor, octets):
        if len(octets) < 6:
            raise OSError(errno.ENOSPC, "full")
        return write(descriptor, octets[:5])

    with PackWriter(1, 1) as writer:
        monkeypatch.setattr(packs.os, "write", half)
        with pytest.raises(StorageFull):
            writer.append(b"1234567890")
        monkeypatch.setattr(packs.os, "write", write)
        place = writer.append(b"whole")
    assert place.offset == 0
    assert read_raw(row(place)) == b"whole"


@pytest.mark.proves("R23")
def test_octets_that_did_not_reach_the_disk_are_never_called_settled(monkeypatch):
    def refuse(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with PackWriter(1, 1) as writer:
        writer.append(b"in the cache only")
        monkeypatch.setattr(packs.os, "fdatasync", refuse)
        with pytest.raises(StorageFull):
            writer.settle()
        monkeypatch.undo()
        with pytest.raises(StorageFull):
            writer.settle()


def test_octets_that_no_row_will_name_are_given_back():
    with PackWriter(1, 1) as writer:
        kept, given_back, _ = [writer.append(raw) for raw in (b"kept", b"given back", b"behind")]
        writer.settle()
        writer.give_back(given_back)
        with pytest.raises(StorageFull):
            writer.append(b"into the room that was made")
    assert (directory_of(1) / kept.pack).read_bytes() == b"kept"


def test_damage_is_noticed_when_asked_for():
    place = append(b"as it came")
    path = directory_of(1) / place.pack
    path.write_bytes(b"as it cane")
    with pytest.raises(RawUnavailable, match="damaged"):
        read_raw(row(place, b"as it came"), verify=True)


@pytest.mark.parametrize("damage", ["gone", "short"])
def test_a_missing_or_short_pack_is_said_in_a_sentence(damage):
    place = append(b"as it came")
    path = directory_of(1) / place.pack
    path.unlink() if damage == "gone" else path.write_bytes(b"as")
    with pytest.raises(RawUnavailable):
        read_raw(row(place))


@pytest.mark.parametrize("pack", ["../2/1-1.pack", "/etc/passwd", "1-1.pack/..", "", "1-1.pack\n"])
@pytest.mark.proves("T15")
def test_a_pack_name_cannot_lead_out_of_the_mailbox(pack):
    with pytest.raises(RawUnavailable, match="no place"):
        read_raw(row(Location(pack, 0, 1)))


def test_packs_are_readable_only_to_the_user_that_runs_the_product():
    place = append(b"secret")
    assert (directory_of(1) / place.pack).stat().st_mode & 0o077 == 0


def test_a_removed_mailbox_leaves_no_octet():
    append(b"gone")
    for _ in range(2):
        remove_mailbox(1)
    assert not directory_of(1).exists()


def test_what_a_row_names_or_a_newer_claim_began_is_not_removed():
    writers = [PackWriter(1, fence) for fence in (1, 2, 3)]
    old, named, newer = (writer.append(b"text") for writer in writers)
    for writer in writers:
        writer.__exit__(None, None, None)
    remove_unnamed(1, 2, lambda name: nullcontext(name != named.pack))
    assert not (directory_of(1) / old.pack).exists()
    assert {path.name for path in directory_of(1).iterdir()} == {named.pack, newer.pack}


def test_a_pack_that_is_being_written_is_left_alone_and_one_that_was_removed_is_not_gone_on_with(monkeypatch):
    with PackWriter(1, 1) as writer:
        place = writer.append(b"text")
        remove_unnamed(1, 1, lambda name: nullcontext(True))
        assert (directory_of(1) / place.pack).exists()
    real = fcntl.flock

    def removed_meanwhile(descriptor: int, how: int) -> None:
        (directory_of(1) / place.pack).unlink(missing_ok=True)
        real(descriptor, how)

    monkeypatch.setattr(packs.fcntl, "flock", removed_meanwhile)
    with PackWriter(1, 2) as writer:
        assert writer.append(b"more").pack != place.pack


@pytest.mark.proves("R23")
def test_tries_on_a_full_disk_leave_nothing_behind(monkeypatch):
    kept = append(b"kept")
    real = os.write

    def half_of_it(descriptor: int, octets: memoryview) -> int:
        if len(octets) < 6_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, octets[: len(octets) // 2])

    monkeypatch.setattr(packs.os, "write", half_of_it)
    for fence in (2, 3):
        with pytest.raises(StorageFull), PackWriter(1, fence) as writer:
            writer.append(b"x" * 10_000)
    assert (directory_of(1) / kept.pack).stat().st_size == 4
    monkeypatch.undo()
