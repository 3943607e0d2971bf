"""Large messages: poured into a file as they come, gone on with where the line broke, never in the way of others."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import resource
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from django.utils import timezone

from accounts import sessions
from accounts.models import Mailbox
from mailservers.rulebook import load_rules
from mailstore import large, packs, partials, reading, run, schedule, unfetchable
from mailstore.models import Message, SyncRun, SyncSchedule
from mailstore.packs import StorageFull, directory_of, open_raw, read_raw
from mailstore.partials import Partial
from mailstore.writing import ClaimLost
from organizations import stopping
from protocols.errors import Refused
from protocols.imap import connection, fetching
from protocols.imap.session import ImapSession
from protocols.message.octets import LARGE_MESSAGE, MappedOctets
from protocols.network import Dialer, DialPolicy
from tests.mailstore.receiving.letters import letter
from tests.mailstore.receiving.server import Account
from tests.servers.dovecot import Dovecot
from tests.servers.fault_proxy import Fault, FaultProxy, fault_proxy

pytestmark = pytest.mark.django_db

SMALL = 100_000  # octets above which a message is large in these tests


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LARGE_LITERAL", SMALL)
    for module in (large, packs, reading):
        monkeypatch.setattr(module, "LARGE_MESSAGE", SMALL)
    monkeypatch.setattr(large, "PART", 20_000)
    monkeypatch.setattr(partials, "SETTLED_EVERY", 50_000)


@pytest.fixture
def proxy(account: Account, dovecot: Dovecot, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    load_rules()
    incoming = Mailbox.incoming
    monkeypatch.setattr(fetching, "PROGRESS_TIMEOUT", 2.0)
    monkeypatch.setattr(Mailbox, "incoming", lambda mailbox: replace(incoming(mailbox), timeout=2.0))
    with fault_proxy(dovecot.plain_port) as running:
        policy = DialPolicy(endpoints=frozenset({("127.0.0.1", running.port)}), names={"localhost": "127.0.0.1"})
        monkeypatch.setattr(sessions, "dialer", lambda: Dialer(policy))
        Mailbox.objects.filter(pk=account.mailbox.pk).update(imap_port=running.port)
        yield running


def heavy(number: int, size: int = 300_000) -> bytes:
    """A letter of noise, which does not compress away."""
    noise = random.Random(number).randbytes(size // 2).hex()
    return letter(number, body="\r\n".join(noise[at : at + 76] for at in range(0, len(noise), 76)))


def partial_files(mailbox: Mailbox) -> list[str]:
    directory = directory_of(mailbox.pk) / "partial"
    return sorted(os.listdir(directory)) if directory.exists() else []


def assert_stored_whole(numbers: list[int]) -> None:
    for number in numbers:
        message = Message.objects.get(message_id=f"{number}@example.com")
        assert read_raw(message, verify=True) == heavy(number)
        assert (message.subject, message.size) == (f"Letter {number}", len(heavy(number)))


@pytest.mark.proves("R25", "V3")
def test_a_large_message_lies_in_a_file_of_its_own_as_the_server_has_it(limits, account):
    account.deliver_letters(1)
    account.deliver(heavy(2))
    account.deliver_letters(3)
    account.sync()
    assert account.subjects() == ["Letter 1", "Letter 2", "Letter 3"]
    assert_stored_whole([2])
    message = Message.objects.get(message_id="2@example.com")
    assert message.pack == f"{hashlib.sha256(heavy(2)).hexdigest()}.message"
    assert isinstance(open_raw(message), MappedOctets)
    assert not partial_files(account.mailbox)


def test_the_same_large_message_in_two_folders_takes_one_place(limits, account):
    account.deliver(heavy(1))
    account.deliver(heavy(1), "Sent")
    account.sync()
    assert len(set(Message.objects.values_list("pack", flat=True))) == 1
    assert Message.objects.count() == 2
    assert len(list(directory_of(account.mailbox.pk).glob("*.message"))) == 1


@pytest.mark.proves("R6", "R25")
def test_a_line_that_drops_within_a_large_message_goes_on_where_it_broke(limits, account, proxy):
    account.deliver_letters(1)
    account.deliver(heavy(2))
    account.deliver_letters(3)
    proxy.fault = Fault(cut_after=110_000)
    lines = []
    for _ in range(12):
        schedule_row = account.sync()
        lines.append(account.subjects())
        if len(lines[-1]) == 3:
            break
        assert schedule_row.failures <= 1  # what gets further is tried again soon
        assert len(partial_files(account.mailbox)) == 1
    assert lines[1] == ["Letter 1", "Letter 3"], "the others do not wait for the large one"
    assert lines[-1] == ["Letter 1", "Letter 2", "Letter 3"]
    assert proxy.to_client < len(heavy(2)) * 2, "what had come was not fetched again"
    assert_stored_whole([2])
    assert not partial_files(account.mailbox)
    assert account.sync().arrived == 0


@pytest.mark.proves("R27")
@pytest.mark.parametrize(("ends", "words"), [("time", "Used up its time"), ("worker", "Its worker was asked to end")])
def test_a_run_that_has_to_end_within_a_large_message_keeps_what_came_of_it(limits, account, monkeypatch, ends, words):
    whole = heavy(2, 3_000_000)
    account.deliver_letters(1)
    account.deliver(whole)
    pieces: list[int] = []
    take, monotonic = Partial.take, time.monotonic

    def note(partial: Partial, octets: memoryview) -> None:
        pieces.append(len(octets))
        take(partial, octets)

    with monkeypatch.context() as patched:
        patched.setattr(Partial, "take", note)
        if ends == "time":
            patched.setattr(run, "monotonic", lambda: monotonic() + (3600 if pieces else 0))
        else:
            patched.setattr(stopping, "is_asked", lambda: bool(pieces))
        row = account.sync()
    assert SyncRun.objects.get().words.startswith(words)
    assert (len(pieces), row.failures, account.subjects()) == (1, 0, ["Letter 1"])
    assert row.due_at <= timezone.now()
    [beginning] = (directory_of(account.mailbox.pk) / "partial").iterdir()
    assert beginning.read_bytes() == whole[: pieces[0]]
    account.sync()
    assert account.subjects() == ["Letter 1", "Letter 2"]
    assert read_raw(Message.objects.get(message_id="2@example.com"), verify=True) == whole


@pytest.mark.proves("R6")
def test_a_large_message_that_never_comes_is_passed_over_and_asked_for_later(limits, account, proxy, monkeypatch):
    account.deliver_letters(1)
    account.deliver(heavy(2))
    monkeypatch.setattr(ImapSession, "fetch_part", _break_the_line)
    proxy.fault = Fault(cut_after=40_000)
    account.sync()
    proxy.fault = Fault()
    account.sync()
    assert account.subjects() == ["Letter 1"]
    assert account.folder().refused == {"2": 1}
    account.deliver_letters(3)
    assert account.sync().waiting_for == ""
    assert account.subjects() == ["Letter 1", "Letter 3"]
    assert "1 message" in account.folder().problem
    monkeypatch.undo()
    monkeypatch.setattr(sessions, "dialer", lambda: Dialer(_to(proxy)))
    later = timezone.now() + unfetchable.FIRST_WAIT * 1.1
    monkeypatch.setattr("mailstore.folder_sync.timezone.now", lambda: later)
    account.sync()
    assert account.subjects() == ["Letter 1", "Letter 2", "Letter 3"]
    assert account.folder().refused == {}


def _to(proxy: FaultProxy) -> DialPolicy:
    return DialPolicy(endpoints=frozenset({("127.0.0.1", proxy.port)}), names={"localhost": "127.0.0.1"})


def _break_the_line(session, uid, offset, size):
    session._connection.close()
    session._connection.wire.readline()


def test_a_large_message_the_server_refuses_to_part_does_not_stop_another(limits, account, proxy, monkeypatch):
    fetch_part = ImapSession.fetch_part

    def refuse(session, uid, offset, size):
        if uid == 1:
            raise Refused("The server said no.", reply="Can't")
        return fetch_part(session, uid, offset, size)

    account.deliver(heavy(1))
    account.deliver(heavy(2))
    proxy.fault = Fault(cut_after=70_000)
    account.sync()
    account.sync()
    proxy.fault = Fault()
    monkeypatch.setattr(ImapSession, "fetch_part", refuse)
    account.sync()
    assert account.subjects() == ["Letter 2"]
    assert account.folder().refused == {"1": 1}


def test_a_large_message_deleted_before_it_was_whole_leaves_nothing(limits, account, proxy):
    account.deliver(heavy(1))
    proxy.fault = Fault(cut_after=70_000)
    account.sync()
    assert partial_files(account.mailbox)
    account.expunge("1")
    proxy.fault = Fault()
    account.sync()
    assert not partial_files(account.mailbox)
    assert account.sync().waiting_for == ""


def test_the_newest_page_does_not_wait_for_a_large_message_in_it(limits, account, monkeypatch):
    stored: list[int] = []
    spool = large.LargeIntake.spool

    def note(self, uid):
        stored.append(Message.objects.count())
        return spool(self, uid)

    monkeypatch.setattr(large.LargeIntake, "spool", note)
    account.deliver_letters(1, 2)
    account.deliver(heavy(3))
    account.deliver_letters(4, 5)
    account.sync()
    assert stored == [4]
    assert account.subjects() == [f"Letter {number}" for number in range(1, 6)]


def test_a_server_that_names_the_message_behind_its_octets_is_asked_again_in_parts(limits, account, monkeypatch):
    monkeypatch.setattr(fetching, "_UID", fetching.re.compile(rb"never"))
    account.deliver(heavy(1))
    account.deliver_letters(2)
    account.sync()
    assert account.subjects() == ["Letter 1", "Letter 2"]
    assert_stored_whole([1])


def test_a_renumbered_large_message_without_message_id_is_recognised(limits, account):
    raw = heavy(1).partition(b"\r\n")[2]
    account.deliver(raw, "Sent", at=timezone.now())
    account.sync()
    [message] = Message.objects.all()
    account.command("delete", "Sent")
    account.command("create", "Sent")
    account.deliver(raw, "Sent", at=message.received_at)
    account.sync()
    assert [found.pk for found in Message.objects.live()] == [message.pk]


# --- The file of a message on its way -----------------------------------------------------------------------------


def test_after_a_crash_only_what_was_settled_is_gone_on_with(limits, inbox):
    first = Partial(inbox, 9)
    first.take(b"a" * 30_000)
    first.take(b"a" * 30_000)
    os.close(first._descriptor)  # as a killed process leaves it
    again = Partial(inbox, 9)
    assert (again.size, partial_files(inbox.mailbox)) == (50_000, [f"{inbox.pk}-7-9-50000.part"])
    again.take(b"c" * 10)
    assert again.place().pack == f"{hashlib.sha256(b'a' * 50_000 + b'c' * 10).hexdigest()}.message"


@pytest.mark.proves("R34")
def test_a_worker_whose_claim_has_passed_cannot_write_into_what_a_newer_one_writes(limits, inbox):
    stale = Partial(inbox, 9)
    stale.take(b"a" * 60_000)
    newer = Partial(inbox, 9)
    assert newer.size == 0
    stale.take(b"a" * 10_000)
    newer.take(b"b" * 100)
    assert newer.place().size == 100
    with pytest.raises(ClaimLost):
        stale.place()


@pytest.mark.proves("R23")
def test_a_full_disk_gives_back_what_was_taken_of_a_large_message(limits, account, monkeypatch, expected_errors):
    expected_errors("it is full")
    write = os.write

    def no_more(descriptor, octets):
        if "partial" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(28, "No space left on device")
        return write(descriptor, octets)

    account.deliver(heavy(1))
    account.deliver_letters(2)
    monkeypatch.setattr(os, "write", no_more)
    account.sync()
    assert (account.subjects(), partial_files(account.mailbox)) == (["Letter 2"], [])
    assert "room" in SyncSchedule.objects.get(mailbox=account.mailbox).waiting_for
    monkeypatch.setattr(os, "write", write)
    account.sync()
    assert account.subjects() == ["Letter 1", "Letter 2"]


@pytest.mark.proves("R23")
@pytest.mark.parametrize("call", ["fdatasync", "rename", "replace"])
def test_a_disk_that_is_full_at_the_end_of_a_large_message_keeps_what_was_settled(limits, inbox, monkeypatch, call):
    first = Partial(inbox, 9)
    first.take(b"a" * 60_000)
    with monkeypatch.context() as patched:
        patched.setattr(partials.os, call, _no_space)
        with pytest.raises(StorageFull, match="full"):
            first.place()
    again = Partial(inbox, 9)
    assert again.began_at >= 50_000, "nobody holds it any more"
    again.take(b"a" * (60_000 - again.size))
    assert again.place().size == 60_000


@pytest.mark.proves("R23")
@pytest.mark.parametrize("call", ["open", "ftruncate"])
def test_a_disk_that_is_full_before_the_first_octet_is_told_in_words(limits, inbox, monkeypatch, call):
    Partial(inbox, 9).close()
    descriptors = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patched:
        patched.setattr(partials.os, call, _no_space)
        growing = Partial(inbox, 9)
        growing.take(b"let go")
        with pytest.raises(StorageFull, match="full"):
            growing.place()
    assert len(os.listdir("/proc/self/fd")) == descriptors


def _no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.proves("R23")
def test_parts_of_a_large_message_for_which_there_is_no_room_are_not_asked_for_again(
    limits, account, proxy, monkeypatch, expected_errors
):
    expected_errors("it is full")
    account.deliver(heavy(1))
    proxy.fault = Fault(cut_after=70_000)
    account.sync()
    assert partial_files(account.mailbox)
    proxy.fault = Fault()
    asked = []
    fetch_part = ImapSession.fetch_part

    def noted(session, *part):
        asked.append(part)
        assert len(asked) < 9
        return fetch_part(session, *part)

    monkeypatch.setattr(ImapSession, "fetch_part", noted)
    monkeypatch.setattr(partials.os, "write", _no_space)
    waiting = account.sync()
    assert len(asked) == 1
    assert "full" in waiting.waiting_for
    assert not partial_files(account.mailbox)


def test_a_worker_that_lost_its_claim_lets_go_of_the_large_message(limits, inbox):
    stale = Partial(inbox, 9)
    stale.take(b"a" * 100)
    stale._path().unlink()
    descriptors = len(os.listdir("/proc/self/fd"))
    with pytest.raises(ClaimLost):
        stale.place()
    assert len(os.listdir("/proc/self/fd")) == descriptors - 1


def test_beginnings_of_another_epoch_and_forgotten_ones_are_removed(inbox, mailbox):
    for uid, folder in ((1, inbox), (2, inbox)):
        Partial(folder, uid).close()
    directory = directory_of(mailbox.pk) / "partial"
    (directory / f"{inbox.pk}-6-3-0.part").touch()
    (directory / "4711-6-3-0.part").touch()
    (directory / "4712-6-3-0.part").touch()
    os.utime(directory / "4711-6-3-0.part", (0, time.time() - partials.FORGOTTEN_AFTER - 10))
    assert sorted(partials.begun(inbox)) == [1, 2]
    assert len(partial_files(mailbox)) == 3


# --- At its real size -----------------------------------------------------------------------------------------------


@pytest.mark.proves("R25")
def test_a_message_of_30_megabytes_takes_little_memory(account):
    body = ("x" * 76 + "\r\n") * (LARGE_MESSAGE // 78 + 70_000)
    account.deliver(letter(1, body=body))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    account.sync()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    message = Message.objects.get()
    assert message.pack.endswith(".message")
    assert message.preview.startswith("xxx")
    assert grown < 20, f"{grown:.0f} MB more"
    assert schedule.progress(SyncSchedule.objects.get(), timezone.now()).waiting_for == ""
