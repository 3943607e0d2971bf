"""The quick way of reading usual messages gives what the full one gives, or gives the message back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.mailbox_generator import mailbox
from protocols.message.limits import LIMITS
from protocols.message.parse import parse_summary, read_fully
from protocols.message.usual import usual_summary

CORPORA = Path(__file__).resolve().parents[4] / "shared" / "corpora"
SAMPLES = [path for path in sorted(CORPORA.rglob("*")) if path.is_file()]

HEAD = (
    b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: Minutes\r\nMessage-ID: <1@example.org>\r\n"
    b"Date: Mon, 1 Jan 2024 10:00:00 +0000\r\n"
)
MIXED = HEAD + (
    b'Content-Type: multipart/mixed; boundary="outer"\r\n\r\npreamble\r\n--outer\r\n'
    b"Content-Type: multipart/alternative; boundary=inner\r\n\r\n"
    b"--inner\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nHello Bob\r\n"
    b"--inner\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Hello Bob</p>\r\n--inner--\r\n\r\n"
    b'--outer\r\nContent-Type: application/pdf; name="a.pdf"\r\nContent-Transfer-Encoding: base64\r\n'
    b'Content-Disposition: attachment; filename="a.pdf"\r\n\r\nSGVsbG8gQm9i\r\n--outer--\r\n'
)
# Pieces that change what a message means when they get into it.
PIECES = (
    *(b"\r\n", b"\n", b"\r", b" ", b"\t", b"--", b"\0", b"\xff", b"\x1c", b"\xc2\xa0"),
    *(b"=", b'"', b"<", b">", b",", b";", b":", b"(", b"=?utf-8?q?=41?="),
    *(b"\r\n--outer", b"\r\n--inner--", b"\r\n--outer--\r\n", b"\r\n\r\n"),
    *(b"\r\nFrom: eve@example.org", b"\r\nContent-Type: text/html\r\n", b"\r\nContent-Disposition: attachment"),
    *(b"multipart/digest", b"name=x;"),
)


def agrees(raw: bytes) -> bool:
    """Tell whether the quick way read `raw`; fails where it read something else."""
    usual = usual_summary(raw, LIMITS)
    if usual is not None:
        assert usual == read_fully(raw, LIMITS)
    return usual is not None


def test_generated_mail_is_read_the_quick_way_and_alike():
    assert all(agrees(message.raw) for message in mailbox(400, seed=11))


@pytest.mark.parametrize("seed", range(8))
def test_damaged_mail_is_read_alike(seed: int):
    read = sum(agrees(raw) for raw in damaged(seed, 600))
    assert 50 < read < 550, "both ways are taken"


def damaged(seed: int, count: int) -> Iterator[bytes]:
    chance = random.Random(seed)
    originals = [MIXED, *(message.raw for message in mailbox(60, seed=seed) if len(message.raw) < 20_000)]
    for _ in range(count):
        raw = chance.choice(originals)
        for _ in range(chance.randint(1, 3)):
            at = chance.choice((chance.randrange(len(raw)), chance.randrange(min(len(raw), 900))))
            raw = raw[:at] + chance.choice(PIECES) + raw[at + chance.choice((0, 0, 1, 5)) :]
        yield raw


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_sample_mail_is_read_alike(path: Path):
    raw = path.read_bytes()
    agrees(raw)
    agrees(raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Alice <alice", b"Alice (away) <alice"),
        (b"To: bob@example.org", b"To: team: bob@example.org;"),
        (b"Subject: ", b"subject: first\r\nSubject: "),
        (b"boundary=inner", b'boundary="outer"'),
        (b"--inner--\r\n", b""),
        (b"--outer\r\n", b"--outer \r\n"),
        (b"boundary=inner", b"boundary=in\x7fner"),
        (b"Date: Mon, 1 Jan", b"Date: some day, Mon, 40 Jan"),
        (b"Minutes", "Grüße".encode()),
    ],
)
def test_what_is_unusual_is_given_back(old: bytes, new: bytes):
    assert agrees(MIXED)
    assert not agrees(MIXED.replace(old, new))


def test_a_message_given_back_is_read_fully():
    raw = MIXED.replace(b"Minutes", "Grüße".encode())
    assert parse_summary(raw).subject == "Grüße"
