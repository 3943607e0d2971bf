"""Messages made to cost time or memory (threat T13): made when they are needed, never kept as files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

HEAD = b"From: ann@example.org\r\nDate: Mon, 05 Feb 2024 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n"
MIXED = HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"


def nested(levels: int) -> bytes:
    head = b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n"
    return HEAD + b"".join(head % (level, level) for level in range(levels)) + b"\r\nthe deepest text"


def of_type(content_type: bytes, body: bytes, encoding: bytes = b"8bit") -> bytes:
    return HEAD + b"Content-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n%s" % (content_type, encoding, body)


MEGABYTE = 1_000_000
PDF = b"--b\nContent-Type: application/pdf\nContent-Transfer-Encoding: base64\n\n"
BOMBS: Final[dict[str, Callable[[], bytes]]] = {
    "ten megabytes of one header": lambda: b"X-Long: " + b"a" * 10 * MEGABYTE,
    "ten megabytes of headers": lambda: HEAD + b"X: y\r\n" * (10 * MEGABYTE // 6) + b"\r\nbody",
    "a header folded a million times": lambda: HEAD + b"Subject: a" + b"\r\n a" * MEGABYTE + b"\r\n\r\nbody",
    "a megabyte of header without a colon": lambda: b"a" * MEGABYTE,
    "alternating junk and header lines": lambda: HEAD + b"junk\nTo: x\n" * 100_000,
    "a hundred thousand quotes": lambda: HEAD + b"To: " + b'"' * 100_000 + b"\r\n\r\n",
    "escaped quotes without end": lambda: HEAD + b"To: " + b'\\"' * 100_000 + b"\r\n\r\n",
    "three thousand nested comments": lambda: HEAD + b"To: " + b"(" * 3_000 + b"\r\n\r\n",
    "a hundred thousand angle brackets": lambda: HEAD + b"To: " + b"<" * 100_000 + b"\r\n\r\n",
    "twenty thousand addresses": lambda: HEAD + b"To: " + b"a@b.org, " * 20_000 + b"\r\n\r\n",
    "a million references": lambda: HEAD + b"References:" + b" <a@b>" * MEGABYTE + b"\r\n\r\n",
    "unclosed references": lambda: HEAD + b"References: " + b"<" * 200_000 + b"\r\n\r\n",
    "a thousand encoded words": lambda: HEAD + b"Subject: " + b"=?utf-8?b?w6Q=?= " * 12_000 + b"\r\n\r\n",
    "encoded words without end": lambda: HEAD + b"Subject: " + b"=?utf-8?q?" * 20_000 + b"\r\n\r\n",
    "punycode as charset of a word": lambda: HEAD + b"Subject: =?punycode?q?" + b"a-b" * 60_000 + b"?=\r\n\r\n",
    "a parameter list of semicolons": lambda: of_type(b"text/plain" + b";" * 200_000, b"x"),
    "parameters without values": lambda: of_type(b"text/plain" + b"; a" * 70_000, b"x"),
    "ten thousand parameter sections": lambda: of_type(
        b"text/plain" + b"".join(b"; name*%d*=%%41" % number for number in range(10_000)), b"x"
    ),
    "three thousand nested multiparts": lambda: nested(3_000),
    "a thousand nested messages": lambda: HEAD + b"Content-Type: message/rfc822\r\n\r\n" * 1_000 + b"deep",
    "a hundred thousand parts": lambda: MIXED + b"--b\r\n\r\nx\r\n" * 100_000,
    "parts without an empty line": lambda: MIXED + (b"--b\r\nA: " + b"x" * 10_000 + b"\r\n") * 900,
    "three million hyphen lines": lambda: MIXED + b"--\n" * (3 * MEGABYTE),
    "lines that almost are delimiters": lambda: MIXED + b"--bb\n" * (2 * MEGABYTE),
    "one boundary at every level": lambda: MIXED + b"--b\nContent-Type: multipart/mixed; boundary=b\n\n" * 5_000,
    "a boundary of a megabyte": lambda: of_type(b"multipart/mixed; boundary=" + b"b" * 200_000, b"--b\n" * 100_000),
    "a gigantic base64 attachment": lambda: MIXED + PDF + b"QUJD\r\n" * 5 * MEGABYTE,
    "base64 that is none": lambda: of_type(b"text/plain", b"=" * 5 * MEGABYTE, b"base64"),
    "quoted-printable of equals signs": lambda: of_type(b"text/plain", b"=" * 5 * MEGABYTE, b"quoted-printable"),
    "uuencode of begin lines": lambda: of_type(b"text/plain", b"begin 644 a\n" * 200_000, b"x-uuencode"),
    "UTF-7": lambda: of_type(b"text/plain; charset=utf-7", b"+2AA-" * 200_000),
    "ISO-2022-JP escapes": lambda: of_type(b"text/plain; charset=iso-2022-jp", b"\x1b$B\x1b(B" * 200_000),
    "an unknown charset over random octets": lambda: of_type(b"text/plain; charset=klingon", bytes(range(256)) * 8_000),
    "UTF-32 of nothing": lambda: of_type(b"text/plain; charset=utf-32", b"\xff" * MEGABYTE),
    "open angle brackets as HTML": lambda: of_type(b"text/html", b"<" * 2 * MEGABYTE),
    "comments without end": lambda: of_type(b"text/html", b"<!--" * 500_000),
    "style elements without end": lambda: of_type(b"text/html", b"<style>" * 300_000),
    "style and head interleaved": lambda: of_type(b"text/html", b"</style><head><style>" * 100_000),
    "a character reference of a million digits": lambda: of_type(b"text/html", b"&#" + b"1" * MEGABYTE),
    "a million ampersands": lambda: of_type(b"text/html", b"&" * MEGABYTE),
    "attributions only": lambda: of_type(b"text/plain", b"On Monday, Ann wrote:\n" * 50_000),
    "mail headers only": lambda: of_type(b"text/plain", b"From: a\nTo: b\n" * 100_000),
    "a date of digits": lambda: b"Date: " + b"1" * 200_000 + b"\r\n\r\n",
    "base64 padded after every letter": lambda: of_type(b"text/plain", b"Q=" * 2 * MEGABYTE, b"base64"),
    "soft line breaks without end": lambda: of_type(b"text/plain", b"=\r\n" * MEGABYTE, b"quoted-printable"),
    "a uuencoded line of five megabytes": lambda: of_type(
        b"text/plain", b"begin 644 a\n" + b"M" * 5 * MEGABYTE, b"x-uue"
    ),
    "uuencode that never ends": lambda: of_type(b"application/x-y", b"begin 644 a\n" + b"#0V%T\n" * 700_000, b"x-uue"),
    "a file name of a megabyte": lambda: of_type(b'application/pdf; name="' + b"n" * MEGABYTE + b'"', b"x"),
    "a Content-ID of a megabyte": lambda: MIXED + b"--b\nContent-ID: <" + b"c" * MEGABYTE + b">\n\nx\n--b--",
    "a charset of a hundred thousand letters": lambda: of_type(b"text/plain; charset=" + b"u" * 100_000, b"\xff" * 99),
    "groups in groups": lambda: HEAD + b"To: " + b"g: " * 60_000 + b";" * 60_000 + b"\r\n\r\n",
    "a hundred thousand commas": lambda: HEAD + b"To: " + b"," * 100_000 + b"\r\n\r\n",
    "backslashes in a comment": lambda: HEAD + b"To: (" + b"\\" * 100_000 + b"\r\n\r\n",
    "at signs": lambda: HEAD + b"To: " + b"@" * 100_000 + b"\r\n\r\n",
    "a thousand attachments": lambda: (
        MIXED + b"".join(b"--b\nContent-Type: application/pdf; name=%d.pdf\n\nx\n" % number for number in range(1_000))
    ),
    "a thousand messages side by side": lambda: MIXED + b"--b\nContent-Type: message/rfc822\n\nTo: x\n\ny\n" * 1_000,
    "a digest in digests": lambda: HEAD + b"Content-Type: multipart/digest; boundary=b\r\n\r\n" + b"--b\n\n" * 50_000,
    "a hundred thousand nested elements": lambda: of_type(b"text/html", b"<div>" * 100_000 + b"deep"),
    "tables in tables": lambda: of_type(b"text/html", b"<table><tr><td>" * 30_000 + b"deep"),
    "formatting elements left open": lambda: of_type(b"text/html", b"<b><i><p>" * 30_000 + b"x"),
    "a hundred thousand remote images": lambda: of_type(b"text/html", b"<img src=http://a.example/b>" * 70_000),
    "an attribute of two megabytes": lambda: of_type(b"text/html", b'<a href="' + b"x" * 2 * MEGABYTE + b'">y</a>'),
    "a hundred thousand attributes": lambda: of_type(b"text/html", b"<p" + b" a=b" * 100_000 + b">x</p>"),
    "styles without end": lambda: of_type(b"text/html", b'<p style="' + b"color:red;" * 100_000 + b'">x</p>'),
    "a hundred thousand links in a text": lambda: of_type(b"text/plain", b"http://example.org/a " * 95_000),
    "brackets that could be links": lambda: of_type(b"text/plain", b"http://" + b"(" * MEGABYTE),
    "quotation marks of a megabyte": lambda: of_type(b"text/plain", b">" * MEGABYTE + b"\n" + b"> " * 500_000),
    "one line of two megabytes": lambda: of_type(b"text/plain", b"word " * 400_000),
    "two million line breaks": lambda: of_type(b"text/plain", b"\n" * 2 * MEGABYTE),
    "combining marks": lambda: of_type(b"text/plain; charset=utf-8", b"e" + "\u0301".encode() * 500_000),
    "nothing but NUL": lambda: b"\0" * 5 * MEGABYTE,
}
