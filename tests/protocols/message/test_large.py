"""Messages too large for memory are read from their file exactly as they would be read in memory."""

from __future__ import annotations

import base64
import binascii
import hashlib
import random
import resource
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.message import decoding, octets
from protocols.message.bodies import decode_octets
from protocols.message.content import iter_parts, iter_pieces, open_message, part_bytes, part_pieces
from protocols.message.decoding import decoded_pieces
from protocols.message.inspection import inspect_message
from protocols.message.octets import MappedOctets, digest_of, octets_of
from protocols.message.parse import parse_summary
from protocols.message.structure import Part

SAMPLES = sorted((Path(__file__).parents[2] / "samples").glob("*.eml"))


def mapped(folder: Path, raw: bytes) -> MappedOctets:
    path = folder / "message"
    path.write_bytes(raw)
    return MappedOctets.of(path, len(raw))


def part(encoding: str, size: int) -> Part:
    return Part("1", "application/pdf", {}, encoding, "", "", "", 0, 0, size)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_mapped_message_is_read_like_one_in_memory(sample, tmp_path):
    raw = sample.read_bytes()
    file = mapped(tmp_path, raw)
    assert parse_summary(file) == parse_summary(raw)
    assert open_message(file) == open_message(raw)
    assert inspect_message(file) == inspect_message(raw)
    assert digest_of(file) == hashlib.sha256(raw).digest()
    for (listed, whole), (_, in_pieces) in zip(iter_parts(raw), iter_pieces(file), strict=True):
        assert b"".join(in_pieces) == whole == part_bytes(raw, listed.path) == b"".join(part_pieces(file, listed.path))


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["base64", "quoted-printable", "8bit"]),
    st.lists(
        st.sampled_from([b"QUJD", b"QQ==", b"QUI=", b"=", b"==", b"Q", b"\r\n", b"\n", b"=3D", b"=\r\n", b" ", b"%",
                         b"begin 644 a\n", b"#0V%T\n", b"end\n", b"`\n", b"plain text\n", b"A" * 20]),
        max_size=40,
    ).map(b"".join),
)  # fmt: skip
def test_what_is_decoded_in_pieces_is_what_is_decoded_at_once(encoding, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "WINDOW", 16)
        patch.setattr(octets.pieces, "__kwdefaults__", {"size": 16})
        assert b"".join(decoded_pieces(data, part(encoding, len(data)))) == decode_octets(data, encoding)


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "x-uuencode", "8bit"])
def test_megabytes_are_decoded_in_pieces(encoding):
    octets_ = random.Random(1).randbytes(2_500_000)
    encoded = {
        "base64": lambda: base64.encodebytes(octets_),
        "quoted-printable": lambda: binascii.b2a_qp(octets_, istext=False),
        "x-uuencode": lambda: (
            b"begin 644 a\n"
            + b"".join(binascii.b2a_uu(octets_[at : at + 45]) for at in range(0, len(octets_), 45))
            + b"`\nend\n"
        ),
        "8bit": lambda: octets_,
    }[encoding]()
    found = list(decoded_pieces(encoded, part(encoding, len(encoded))))
    assert b"".join(found) == octets_
    assert len(found) > 1


def test_an_empty_line_of_a_uuencoded_part_holds_nothing():
    assert decode_octets(b"begin 644 a\n#0V%T\n\n#0V%T\n", "x-uuencode") == b"CatCat"


def test_searching_a_mapped_file_is_searching_its_octets(tmp_path):
    raw = random.Random(2).randbytes(100_000).replace(b"needle", b"") + b"needle" + b"x" * 50_000
    file = mapped(tmp_path, raw)
    for sub, start, stop in [(b"needle", 0, None), (b"needle", 100_001, None), (b"needle", 0, 100_003), (b"x", 7, 9)]:
        end = len(raw) if stop is None else stop
        assert file.find(sub, start, stop) == raw.find(sub, start, end)
        assert file.startswith(sub, start, stop) == raw.startswith(sub, start, end)
    assert file.count(b"x", 5, 120_000) == raw.count(b"x", 5, 120_000)


def test_a_file_that_is_shorter_than_it_should_be_is_not_mapped(tmp_path):
    (tmp_path / "short").write_bytes(b"abc")
    with pytest.raises(OSError, match="cut short"):
        MappedOctets.of(tmp_path / "short", 4)
    assert octets_of(tmp_path / "short") == b"abc"


@pytest.mark.proves("R25")
def test_forty_megabytes_of_attachment_are_listed_and_decoded_in_little_memory(tmp_path):
    line = base64.b64encode(bytes(range(57))) + b"\r\n"
    head = b"Subject: large\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n"
    pdf = b"--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    lines = 40 * 1024 * 1024 // len(line)
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.write(head + pdf)
        for _ in range(64):
            file.write(line * (lines // 64))
        file.write(b"--b--\r\n")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    raw = octets_of(path)
    summary, content = parse_summary(raw), open_message(raw)
    size = sum(map(len, part_pieces(raw, "2")))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert (summary.subject, summary.text, content.text) == ("large", "Hello", "Hello")
    assert [attachment.size for attachment in summary.attachments] == [size] == [lines // 64 * 64 * 57]
    assert grown < 12, f"{grown:.0f} MB more"
