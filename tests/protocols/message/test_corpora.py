"""Sample mail of other projects, read from beside the project where it is present."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from protocols.message.content import ContentPart, iter_parts, open_message
from protocols.message.parse import Address, parse_summary
from tests.effort import done_within

CORPORA = Path(__file__).resolve().parents[4] / "shared" / "corpora"
STALWART = sorted((CORPORA / "stalwart").glob("*/*.eml"))
MIMETOOLS = sorted((CORPORA / "mimetools").glob("*.msg"))
EVERYTHING = [path for path in sorted(CORPORA.rglob("*")) if path.is_file()]

# Where we differ, and why that is right for a reader. There we must differ still, or the reason has gone.
OTHER_STRUCTURE = {
    "thirdparty/002": "a part whose base64 is garbage is shown as it is, not attached",
    "thirdparty/015": "an unclosed multipart inside an attached message ends where the outer boundary says",
}
OTHER_TEXT = {
    "thirdparty/002": "octets behind the padding of base64 are ignored",
    "thirdparty/005": "a boundary that does not begin its line is text",
}
OTHER_BODIES = {
    "badbound": "a boundary that no line can match: the whole body is shown as text",
    "frag": "base64 up to a missing delimiter is decoded to its last octet",
    "hdr-fakeout": "a text behind a header without its empty line is shown",
    "multi-frag": "base64 up to a missing delimiter is decoded to its last octet",
}


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def cases(paths: list[Path], differing: dict[str, str]) -> list[Any]:
    """Every path with whether we agree there. Without the corpora there are no cases, and pytest says so."""
    return [pytest.param(path, not {name(path), path.stem} & differing.keys(), id=name(path)) for path in paths]


@pytest.mark.proves("G1")
@pytest.mark.parametrize("path", EVERYTHING, ids=name)
def test_every_file_is_read_without_an_error_and_quickly(path: Path):
    raw = path.read_bytes()
    summary, content = done_within(2, lambda: (parse_summary(raw), open_message(raw)))
    assert "unreadable" not in (*summary.defects, *content.defects)
    json.dumps(summary.text + summary.subject + (content.text or "")).encode("utf-8")


@pytest.mark.parametrize("path", STALWART, ids=name)
def test_headers_agree_with_the_expectation(path: Path):
    expected, summary = expectation(path), parse_summary(path.read_bytes())
    headers = {str(field["name"]): field["value"] for field in expected["parts"][0]["headers"]}
    for field, ours in (
        ("from", [summary.from_] if summary.from_ else []),
        ("to", summary.to),
        ("cc", summary.cc),
        ("reply_to", summary.reply_to),
    ):
        assert [(address.name, address.address) for address in ours] == addresses(headers.get(field))
    assert summary.subject == text(headers.get("subject"))
    assert summary.message_id == text(headers.get("message_id"))
    if isinstance(headers.get("date"), dict):
        date = headers["date"]["DateTime"]
        zone = (date["tz_hour"] * 60 + date["tz_minute"]) * (1 if date["tz_before_gmt"] else -1)
        assert summary.date is not None
        minutes = (date["day"] * 24 + date["hour"]) * 60 + date["minute"] + zone
        assert summary.date.minute == minutes % 60
        assert summary.date.hour == minutes // 60 % 24
        assert (summary.date.second, abs(summary.date.year - date["year"]) <= 1) == (date["second"], True)


@pytest.mark.parametrize(("path", "agrees"), cases(STALWART, OTHER_STRUCTURE | OTHER_TEXT))
def test_bodies_and_attachments_agree_with_the_expectation(path: Path, agrees: bool):
    content, expected = open_message(path.read_bytes()), expectation(path)
    ours = [len(content.attachments) + len(content.inline), content.html is not None]
    theirs = [
        len(expected["attachments"]),
        any("Html" in expected["parts"][index]["body"] for index in expected["html_body"]),
    ]
    bodies = [expected["parts"][index]["body"] for index in expected["text_body"]]
    texts = [body["Text"] for body in bodies if "Text" in body]
    if len(texts) == len(bodies):
        ours.append((content.text or "").split())
        theirs.append("\n".join(texts).replace("\0", "").split())
    assert (ours == theirs) is agrees


@pytest.mark.parametrize(("path", "agrees"), cases(MIMETOOLS, OTHER_BODIES))
def test_decoded_bodies_agree_octet_by_octet(path: Path, agrees: bool):
    structure = path.with_name(f"{path.stem}_decoded.xml").read_text(encoding="latin-1")
    files = re.findall(r'<(?:text|binary)-body name="([^"]+)"', structure)
    expected = [trimmed(path.with_name(file).read_bytes()) for file in files]
    assert ([trimmed(octets) for _, octets in leaves(path.read_bytes())] == expected) is agrees


def expectation(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    return loaded


def addresses(value: Any) -> list[tuple[str, str]]:
    if not isinstance(value, dict):
        return []
    groups = [{"addresses": value["Address"].get("List", [])}, *value["Address"].get("Group", [])]
    members = [member for group in groups for member in group["addresses"]]
    found = [Address(member.get("name") or "", member.get("address") or "") for member in members]
    return [(address.name, address.address) for address in found]


def text(value: Any) -> str:
    return value["Text"] if isinstance(value, dict) else ""


def leaves(raw: bytes, depth: int = 0) -> Iterator[tuple[ContentPart, bytes]]:
    """Yield all parts, those inside attached messages too."""
    for part, octets in iter_parts(raw):
        if part.content_type == "message/rfc822" and depth < 9:
            yield from leaves(octets, depth + 1)
        else:
            yield part, octets


def trimmed(octets: bytes) -> bytes:
    """Without the difference between line ends, and empty lines around a body."""
    return octets.replace(b"\r\n", b"\n").strip(b"\n")
