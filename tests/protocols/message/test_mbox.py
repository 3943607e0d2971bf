"""Messages of an mbox file come out as they were put in, one at a time."""

from __future__ import annotations

import mailbox
import tracemalloc
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.message.mbox import NotAnMbox, split_mbox
from tests.effort import grows_in_step

SEPARATOR = b"From alice@example.org Thu Jan  1 00:00:00 1970\n"


def split(octets: bytes) -> list[bytes]:
    return list(split_mbox(BytesIO(octets)))


@given(st.lists(st.lists(st.sampled_from([b"", b"text", b"From here", b">From there", b"> From"])), max_size=5))
def test_what_another_program_wrote_is_read_back(bodies: list[list[bytes]]):
    """The quoting of RFC 4155 says not how deep it is, so ">From " may come back as "From "."""
    messages = [b"Subject: %d\n\n%b\n" % (number, b"\n".join(body)) for number, body in enumerate(bodies)]
    written = BytesIO()
    for message in messages:
        written.write(SEPARATOR + b"".join(b">" * line.startswith((b"From ", b">From ")) + line + b"\n"
                                           for line in message.split(b"\n")[:-1]) + b"\n")  # fmt: skip
    assert split(written.getvalue()) == messages


def test_the_standard_library_writes_what_we_read(tmp_path: Path):
    box = mailbox.mbox(tmp_path / "box")
    for number in range(3):
        box.add(b"Subject: %d\n\nFrom now on\n\nFrom then on\n" % number)
    box.close()
    with (tmp_path / "box").open("rb") as file:
        found = list(split_mbox(file))
    assert found == [b"Subject: %d\n\nFrom now on\n\nFrom then on\n" % number for number in range(3)]


@pytest.mark.parametrize(
    "separator",
    [
        b"From alice@example.org Thu Jan  1 00:00:00 1970",
        b"From MAILER-DAEMON Sat Nov 21 11:21:56 2026",
        b"From alice at example.org  Sat Nov 21 11:21:56 2026",
        b"From - Sat Nov 21 11:21:56 2026",
        b"From alice@example.org Sat Nov 21 11:21:56 UTC 2026",
        b"From alice@example.org Sat Nov 21 11:21:56 2026 +0100",
        b"From alice@example.org Sat Nov 21 11:21 2026 remote from desk",
        b"From alice@example.org",
        b"From -",
    ],
)
def test_separators_of_many_programs_are_known(separator: bytes):
    assert split(separator + b"\r\nA: 1\r\n\r\n" + separator + b"\r\nA: 2\r\n") == [b"A: 1\r\n", b"A: 2\r\n"]


@pytest.mark.parametrize(
    "line", [b"From now on we meet at 10:30, in 2026 too.", b"From Berlin", b"From alice@x.org on"]
)
def test_a_sentence_separates_nothing(line: bytes):
    message = b"A: 1\n\nHello\n\n" + line + b"\n"
    assert split(SEPARATOR + message + b"\n") == [message]


def test_a_missing_empty_line_hides_no_message():
    assert split(SEPARATOR + b"A: 1\n\ntext\n" + SEPARATOR + b"A: 2\n") == [b"A: 1\n\ntext\n", b"A: 2\n"]


def test_an_empty_file_holds_no_message():
    assert split(b"") == split(b"\n\n") == []


def test_a_single_message_is_no_mbox():
    with pytest.raises(NotAnMbox):
        split(b"From: alice@example.org\n\nHello\n")


def test_of_a_message_beyond_all_bounds_the_beginning_is_given():
    huge = SEPARATOR + b"A: 1\n\n" + b"x" * 500_000 + b"\n\n" + SEPARATOR + b"A: 2\n"
    first, second = split_mbox(BytesIO(huge), largest=1_000)
    assert (len(first), second) == (1_000, b"A: 2\n")


def test_many_messages_take_the_memory_of_one(tmp_path: Path):
    with (tmp_path / "box").open("wb") as file:
        for _ in range(200):
            file.write(SEPARATOR + b"A: 1\n\n" + b"x" * 100_000 + b"\n\n")
    tracemalloc.start()
    try:
        with (tmp_path / "box").open("rb") as file:
            assert sum(1 for _ in split_mbox(file)) == 200
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.proves("T14")
@pytest.mark.parametrize("unit", [b"From ", b"From x Thu Jan ", b"From Thu Jan 1 00:00", b"From a@", b">"])
def test_hostile_lines_are_read_in_linear_time(unit: bytes):
    octets = SEPARATOR + b"\n" + ((unit * 100)[:490] + b"\n") * 1_000
    assert grows_in_step(split, octets)
