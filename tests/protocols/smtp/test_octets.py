"""What leaves as a message: whole line ends, doubled dots, in bounded memory however it is cut (T3, R25)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.smtp.octets import Content, dot_stuffed, normalised
from tests.protocols.smtp.scenes import greeting, session_with
from tests.servers.scripted import Peer, scripted

MEGABYTE = 1024 * 1024

raws = st.binary(max_size=200) | st.text(alphabet="a.\r\n", max_size=80).map(str.encode)


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    """`raw` in pieces, some of them perhaps empty."""
    edges = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    return [raw[start:end] for start, end in pairwise(edges)]


@pytest.mark.proves("T3", "I8")
@given(raws, st.lists(st.integers(0, 10_000), max_size=8))
def test_what_leaves_has_only_whole_line_ends_and_doubled_dots(raw: bytes, places: list[int]) -> None:
    octets = b"".join(Content(cut(raw, places)).blocks())
    rest = octets.replace(b"\r\n", b"")
    assert rest.count(b"\n") == rest.count(b"\r") == 0
    assert octets.endswith(b"\r\n") or not octets
    stuffed = b"".join(dot_stuffed(Content(cut(raw, places)).blocks()))
    lines = stuffed.split(b"\r\n")
    assert all(line.startswith(b"..") for line in lines if line.startswith(b"."))
    assert b"\r\n".join(line.removeprefix(b".") for line in lines) == octets


@pytest.mark.proves("T3", "R25")
@given(raws, st.lists(st.integers(0, 10_000), max_size=8))
def test_however_it_is_cut_the_same_octets_leave(raw: bytes, places: list[int]) -> None:
    whole = re.sub(rb"\r\n|\r|\n", b"\r\n", raw)
    whole = whole if whole.endswith(b"\r\n") or not whole else whole + b"\r\n"
    for given_raw in (raw, memoryview(raw), bytearray(raw), cut(raw, places)):
        content = Content(given_raw)
        assert b"".join(content.blocks()) == whole
        assert b"".join(content.blocks()) == whole, "it can be walked once more"
        assert content.size == len(whole)
        assert content.ascii is whole.isascii()
        assert content.ascii_header is whole.partition(b"\r\n\r\n")[0].isascii()
    assert all(not block.endswith(b"\r") and block for block in normalised(cut(raw, places)))


def test_what_is_cut_at_a_full_block_is_cut_nowhere_else() -> None:
    raw = b"." * 65_535 + b"\r\n." + b"\n" * 65_540 + b".\r\n" + b"x" * 200_000
    assert b"".join(Content(raw).blocks()) == re.sub(rb"\r\n|\r|\n", b"\r\n", raw) + b"\r\n"
    stuffed = b"".join(dot_stuffed(Content(raw).blocks()))
    assert stuffed.startswith(b"..")
    assert stuffed.count(b"\r\n..") == 2


def test_an_iterator_is_refused_because_it_could_be_walked_only_once() -> None:
    with pytest.raises(TypeError, match="once"):
        Content(iter([b"a"]))


class ManyBlocks:
    """100 MB of short lines, made as they are asked for."""

    def __iter__(self) -> Iterator[bytes]:
        yield b"Subject: many\n\n"
        block = (b"." + b"x" * 510 + b"\n") * 2_048
        for _ in range(100):
            yield block


@pytest.mark.proves("R25")
@pytest.mark.parametrize("offered", [(), ("PIPELINING", "CHUNKING")])
def test_a_message_of_100_megabytes_leaves_in_the_memory_of_a_few_blocks(offered: tuple[str, ...]) -> None:
    taken: list[int] = []

    def takes_all(peer: Peer) -> None:
        peer.play(greeting(*offered) + "C: MAIL *\nS: 250 ok\nC: RCPT *\nS: 250 ok\n")
        if not offered:
            peer.play("C: DATA\nS: 354 go\n")
            taken.append(_until_the_dot(peer))
        else:
            taken.append(_chunks(peer))
        peer.play("S: 250 2.0.0 kept\nC: QUIT")

    with scripted(takes_all) as server, session_with(server.port) as session:
        Path("/proc/self/clear_refs").write_text("5")  # the kernel measures the peak anew
        before = megabytes("VmRSS")
        [reply] = session.submit("a@x.org", ["b@x.org"], ManyBlocks(), before_final_dot=lambda: None)
        grown = megabytes("VmHWM") - before
    assert reply.accepted
    assert taken[0] > 100 * MEGABYTE
    assert grown < 20, f"{grown:.1f} MB, of both ends"


def megabytes(what: str) -> float:
    """Of this process."""
    [kilobytes] = re.findall(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kilobytes) / 1024


def _until_the_dot(peer: Peer) -> int:
    size, tail = 0, b""
    while not tail.endswith(b"\r\n.\r\n"):
        data = peer.sock.recv(MEGABYTE)
        size += len(data)
        tail = (tail + data[-5:])[-5:]
    return size


def _chunks(peer: Peer) -> int:
    """Read past the peer, which keeps all that it hears."""
    size = 0
    with peer.sock.makefile("rb") as file:
        while True:
            words = file.readline().split()
            assert words[0] == b"BDAT"
            left = int(words[1])
            size += left
            while left:
                left -= len(file.read(min(left, 65_536)))
            if words[-1] == b"LAST":
                return size
            peer.send(b"250 2.0.0 chunk\r\n")
