"""What the scenarios put into mailboxes beside plain letters."""

from __future__ import annotations

from typing import Final

from tests.mailstore.receiving.letters import letter


def with_attachment(number: int) -> bytes:
    """A letter with a PDF and a picture shown in it."""
    return (
        f"Message-ID: <{number}@example.com>\r\nFrom: Carol <carol@example.com>\r\nSubject: Plans {number}\r\n"
        'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nHello\r\n"
        f'--b\r\nContent-Type: application/pdf; name="plan-{number}.pdf"\r\nContent-Transfer-Encoding: base64\r\n'
        f'Content-Disposition: attachment; filename="plan-{number}.pdf"\r\n\r\nJVBERi0xLjQK\r\n'
        "--b\r\nContent-Type: image/png\r\nContent-ID: <p@example.com>\r\nContent-Disposition: inline\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--b--\r\n"
    ).encode()


def heavy(number: int) -> bytes:
    """A letter that counts as large here (see `bench.py`)."""
    return letter(number, body=(f"{number} " + "x" * 76 + "\r\n") * 1_500)


def on_server(raw: bytes) -> bytes:
    """What a server that keeps only whole lines makes of the octets."""
    return raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


MALFORMED: Final = (
    b"\r\n",
    b"no header at all",
    b"Subject: =?utf-8?b?broken\r\nFrom: <<>>,,@\r\nDate: never\r\nMessage-ID: <\r\n\r\nhello",
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n--b\r\nContent-Type: x\r\n\r\nhello',
    b"Content-Type: text/plain; charset=unheard-of\r\nSubject: \xff\xfe\x80\r\n\r\nhello \xff\xfe",
    b"Subject: " + b"long " * 2_000 + b"\r\n\r\nhello",
)
