"""A mailbox that looks like an office's, the same for the same seed: sizes, parts, charsets and threads as measured.

20,000 messages are about 0.55 GB: most are a few kilobytes, 54 % are multipart, 15 % carry attachments, 5 % are not in
ASCII or UTF-8, 42 % answer an earlier message.
"""

from __future__ import annotations

import base64
import random
from binascii import b2a_qp
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.header import Header
from email.utils import format_datetime

BEGIN = datetime(2024, 1, 2, 8, 0, tzinfo=UTC)
ANSWERS = 0.42
MULTIPART = 0.54
WITH_ATTACHMENT = 0.15
OTHER_CHARSET = 0.05
LINE = 78  # octets of a line of base64

_SYLLABLES = [f"{consonant}{vowel}" for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
_NAMES = [
    "Alice", "Bob", "Carol", "Dave", "Erin", "Frank", "Grace", "Heidi", "Ivan", "Judy", "Niaj", "Olivia", "Peggy",
    "Rupert", "Sybil", "Trent", "Victor", "Wendy",
]  # fmt: skip
_OTHER_CHARSETS = {
    "iso-8859-1": "Größe, façade, señor, smørrebrød", "windows-1251": "Привет, отчёт готов к пятнице",
    "iso-2022-jp": "会議の資料を送ります", "koi8-r": "Счёт за март", "gb2312": "请查收附件中的报告",
    "iso-8859-2": "Příští týden, zażółć gęślą",
}  # fmt: skip
_KINDS = [("application/pdf", "pdf"), ("image/png", "png"), ("application/zip", "zip"), ("text/csv", "csv")]


@dataclass(frozen=True, slots=True)
class Generated:
    raw: bytes
    received_at: datetime
    is_seen: bool


def mailbox(messages: int, seed: int) -> Iterator[Generated]:
    """Yield messages in the order they arrived."""
    return _Writer(seed).write(messages)


class _Writer:
    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._words = ["".join(self._chance.choices(_SYLLABLES, k=self._chance.randint(1, 4))) for _ in range(20_000)]
        self._weights = [1 / (rank + 3) for rank in range(len(self._words))]
        self._sums = self._cumulated()
        self._lines = [self._text(12) for _ in range(20_000)]
        self._noise = base64.encodebytes(self._chance.randbytes(4 * 1024 * 1024)).replace(b"\n", b"\r\n")
        self._recent: list[tuple[str, str, str]] = []  # Message-ID, References, subject

    def _cumulated(self) -> list[float]:
        total = 0.0
        return [total := total + weight for weight in self._weights]

    def write(self, messages: int) -> Iterator[Generated]:
        at = BEGIN
        for number in range(messages):
            at += timedelta(seconds=self._chance.expovariate(1 / 1800))
            yield Generated(self._message(number, at), at, self._chance.random() < 0.8)

    def _message(self, number: int, at: datetime) -> bytes:
        chance = self._chance
        identifier = f"<{chance.getrandbits(64):016x}.{number}@mail{chance.randint(1, 40)}.example.com>"
        subject = self._text(chance.randint(2, 8)).capitalize()
        references = ""
        if self._recent and chance.random() < ANSWERS:
            parent, chain, topic = self._recent[-min(len(self._recent), int(chance.expovariate(1 / 60)) + 1)]
            references = f"{chain} {parent}".strip()
            subject = topic if topic.startswith("Re: ") else f"Re: {topic}"
        self._recent = [*self._recent[-400:], (identifier, " ".join(references.split()[-12:]), subject)]
        other = chance.choice(list(_OTHER_CHARSETS)) if chance.random() < OTHER_CHARSET else ""
        shown = Header(_OTHER_CHARSETS[other][:18], other).encode() if other else subject
        head = [
            *(f"Received: from mx{hop}.example.net by mail.example.org with ESMTPS id {chance.getrandbits(48):x};\r\n"
              f"\t{format_datetime(at)}" for hop in range(chance.randint(1, 4))),
            f"Date: {format_datetime(at)}", f"From: {self._person()}",
            f"To: {', '.join(self._person() for _ in range(min(12, int(chance.expovariate(0.7)) + 1)))}",
            f"Subject: {shown}", f"Message-ID: {identifier}",
            *_referring(references),
            f"X-Mailer: Example {chance.randint(1, 9)}.{chance.randint(0, 20)}", "MIME-Version: 1.0",
        ]  # fmt: skip
        return "\r\n".join(head).encode() + b"\r\n" + self._content(other)

    def _content(self, charset: str) -> bytes:
        """The MIME part of the head, and the body."""
        text = self._paragraphs(int(min(self._chance.lognormvariate(5.0, 0.9), 4_000)) + 10)
        if charset:
            text = _OTHER_CHARSETS[charset] + "\r\n" + text
        plain = _encoded_text("plain", text, charset or "utf-8")
        if self._chance.random() >= MULTIPART:
            return plain
        boundary = f"=_{self._chance.getrandbits(96):024x}"
        html = "<html><head><style>p{margin:0 0 1em}</style></head><body>" + "".join(
            f'<p style="font-family:sans-serif;font-size:14px">{line}</p>\r\n' for line in text.split("\r\n\r\n")
        )
        alternative = _multipart("alternative", boundary, [plain, _encoded_text("html", html, charset or "utf-8")])
        if self._chance.random() >= WITH_ATTACHMENT / MULTIPART:
            return alternative
        parts = [alternative, *(self._attachment() for _ in range(min(5, int(self._chance.expovariate(1)) + 1)))]
        return _multipart("mixed", f"{boundary}m", parts)

    def _attachment(self) -> bytes:
        lines = int(min(self._chance.lognormvariate(10.7, 1.0), 3_500_000)) // 57 + 1
        start = self._chance.randrange(len(self._noise) // LINE - lines)
        content_type, ending = self._chance.choice(_KINDS)
        name = f"{self._text(2).replace(' ', '-')}.{ending}"
        return (
            f'Content-Type: {content_type}; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n'
            f'Content-Disposition: attachment; filename="{name}"\r\n\r\n'
        ).encode() + self._noise[start * LINE : (start + lines) * LINE]

    def _person(self) -> str:
        name = self._chance.choice(_NAMES)
        family = self._words[self._chance.randrange(300)].capitalize()
        return f"{name} {family} <{name.lower()}.{family.lower()}@example.{self._chance.choice(('com', 'org', 'net'))}>"

    def _text(self, words: int) -> str:
        return " ".join(self._chance.choices(self._words, cum_weights=self._sums, k=words))

    def _paragraphs(self, words: int) -> str:
        """About so many words, in lines of twelve and paragraphs of five lines."""
        lines = self._chance.choices(self._lines, k=words // 12 + 1)
        paragraphs = ("\r\n".join(lines[start : start + 5]) for start in range(0, len(lines), 5))
        return ".\r\n\r\n".join(paragraphs) + ".\r\n"


def _referring(references: str) -> list[str]:
    if not references:
        return []
    return [f"In-Reply-To: {references.split()[-1]}", "References: " + "\r\n ".join(references.split())]


def _encoded_text(subtype: str, text: str, charset: str) -> bytes:
    octets = text.encode(charset, "replace")
    encoding = "8bit"
    if subtype == "html":
        encoding = "quoted-printable"
        octets = b2a_qp(octets)
    head = f"Content-Type: text/{subtype}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + octets


def _multipart(subtype: str, boundary: str, parts: list[bytes]) -> bytes:
    head = f'Content-Type: multipart/{subtype}; boundary="{boundary}"\r\n\r\n'.encode()
    mark = f"--{boundary}".encode()
    return head + b"".join(mark + b"\r\n" + part + b"\r\n" for part in parts) + mark + b"--\r\n"
