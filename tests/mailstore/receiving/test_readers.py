"""The reader process: the same results as in this process, and no message that can stop it for good."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from mailstore.readers import InlineReader, ReaderProcess
from mailstore.reading import Entry, Envelope, ReadBatch
from tests.mailstore.receiving.letters import NOON, letter

FRAGILE = """
import os, time
from mailstore import reading
read = reading.read_message
def fragile(envelope, raw):
    if b"Subject: kill" in raw:
        os.abort()
    if b"Subject: stall" in raw:
        time.sleep(60)
    return read(envelope, raw)
reading.read_message = fragile
from mailstore.reading_process import main
main()
"""


def entries(folder: Path, *messages: bytes) -> list[Entry]:
    path = folder / "1-1.pack"
    path.write_bytes(b"".join(messages))
    offsets = [sum(map(len, messages[:number])) for number in range(len(messages))]
    return [
        Entry(Envelope(number + 1, frozenset({r"\Seen"}), NOON, len(raw)), str(path), offset, len(raw))
        for number, (raw, offset) in enumerate(zip(messages, offsets, strict=True))
    ]


def test_both_readers_read_alike(tmp_path):
    batch = entries(tmp_path, letter(1), b"", letter(2, subject="Ärger"), b"\0\xff" * 500, letter(3, answers=1))
    inline = InlineReader()
    inline.submit(batch)
    with ReaderProcess() as process:
        process.submit(batch)
        assert process.collect() == inline.collect()
        process.submit([])
        assert process.collect() == ReadBatch([])


def test_postings_are_made_where_mail_is_read_but_not_of_a_batch_that_was_halved(tmp_path):
    batch = entries(tmp_path, letter(1), letter(2, subject="Ärger"))
    with ReaderProcess(with_postings=True) as process:
        process.submit(batch)
        read = process.collect()
    assert any(b"arger" in row for row in read.postings)
    assert [message.texts.subject for message in read.messages] == ["", ""]
    assert b" arger " in read.messages[1].in_order
    with ReaderProcess([sys.executable, "-c", FRAGILE], with_postings=True) as process:
        process.submit(entries(tmp_path, letter(1), letter(2, subject="kill")))
        read = process.collect()
    assert len(read.messages) == 2
    assert not read.postings


@pytest.mark.proves("R30", "T13")
@pytest.mark.parametrize("deed", ["kill", "stall"])
def test_a_message_that_kills_or_stalls_its_reader_is_found_and_the_rest_is_read(tmp_path, deed, caplog):
    letters = [letter(number) for number in range(1, 8)]
    letters[4] = letter(5, subject=deed)
    with ReaderProcess([sys.executable, "-c", FRAGILE], time_limit=1.0) as process:
        process.submit(entries(tmp_path, *letters))
        read = process.collect().messages
    assert [message.uid for message in read] == list(range(1, 8))
    assert [message.subject for message in read if message.uid != 5] == [f"Letter {n}" for n in (1, 2, 3, 4, 6, 7)]
    assert (read[4].subject, read[4].defects) == ("", '["unreadable"]')
    assert len(read[4].sha256) == 32


@pytest.mark.proves("T7")
def test_the_reader_process_inherits_no_secret(monkeypatch, tmp_path):
    monkeypatch.setenv("SECRET_KEY", "canary")
    with ReaderProcess() as process:
        process.submit(entries(tmp_path, letter(1)))
        process.collect()
        assert b"canary" not in Path(f"/proc/{process._process.pid}/environ").read_bytes()


def test_the_reader_process_ends_with_the_sync(tmp_path):
    with ReaderProcess() as process:
        pid = process._process.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
