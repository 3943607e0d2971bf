"""The part tree and the address reader, on their own: any octets, never an exception, never for long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.address_list import Address, parse_addresses
from sandbox.imap import utf7
from sandbox.imap.structure import body_structure, envelope
from sandbox.mime import Part, parse
from tests.effort import done_within

MIME_PIECES = st.sampled_from(
    [
        *(b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"--a", b"--a--", b"--b", b" ", b":", b"Subject: x", b"text", b"\xff"),
        *(b"Content-Type: multipart/mixed; boundary=a", b"Content-Type: multipart/digest; boundary=b"),
        *(b"Content-Type: message/rfc822", b'Content-Disposition: attachment; filename="', b"To: a@b, <c", b"("),
    ]
)


def everything_below(part: Part) -> list[Part]:
    below = [*part.children, *([part.message] if part.message else [])]
    return [part, *(deeper for child in below for deeper in everything_below(child))]


@given(st.lists(MIME_PIECES, max_size=40).map(b"".join))
def test_parts_lie_inside_their_message_whatever_it_is(raw: bytes) -> None:
    root = parse(raw)
    assert root.header + root.body == raw
    for part in everything_below(root):
        assert 0 <= part.start <= part.body_start <= part.end <= len(raw)
        for child in part.children:
            assert part.body_start <= child.start <= child.end <= part.end
    assert body_structure(root, extended=True).startswith(b"(")
    assert envelope(root).startswith(b"(")


@given(st.binary(max_size=200))
def test_addresses_never_fail(value: bytes) -> None:
    assert all(isinstance(address, Address) for address in parse_addresses(value))


def nested(depth: int) -> bytes:
    return b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(depth))


@pytest.mark.parametrize(
    "raw",
    [
        nested(2000),
        b"Content-Type: message/rfc822\n\n" * 5000,
        b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--a\n\nx\n" * 100_000,
        b"To: " + b'"' * 1_000_000 + b"\n\n",
        b"To: " + b"(" * 1_000_000 + b"\n\n",
        b"To: " + b"a@b.example, " * 100_000 + b"\n\n",
        b"Subject: " + b"x\n " * 300_000 + b"\n\n",
        b"Content-Type: text/plain" + b"; a=b" * 50_000 + b"\n\n",
        b"Content-Type: text/plain; a=" + b'"\\' * 300_000 + b"\n\n",
        b"x" * 5_000_000,
        b"\n" * 5_000_000,
        b"a: b\n" * 200_000,
    ],
    ids=[
        *("multiparts", "messages", "parts", "quotes", "comments", "addresses", "folds", "parameters", "escapes"),
        *("one line", "no lines", "fields"),
    ],
)
def test_hostile_messages_take_less_than_two_seconds(raw: bytes) -> None:
    def answer() -> None:
        root = parse(raw)
        body_structure(root, extended=True)
        envelope(root)

    done_within(2, answer)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_folder_names_survive_modified_utf_7(name: str) -> None:
    assert utf7.decode(utf7.encode(name)) == name
    assert utf7.encode(name).isascii()


@pytest.mark.parametrize(
    ("name", "wire"), [("Zamówienia", b"Zam&APM-wienia"), ("~peter/台北", b"~peter/&U,BTFw-"), ("A & B", b"A &- B")]
)
def test_folder_names_are_written_as_the_rfc_shows(name: str, wire: bytes) -> None:
    assert utf7.encode(name) == wire
