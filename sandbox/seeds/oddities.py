"""Mail as it also arrives: broken, badly declared, forwarded whole. Readers must cope; so it is in the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final

from sandbox.seeds.cast import CAST
from sandbox.seeds.letter import Letter

_DAY: Final = 86400


def odd_letters(now: int) -> Iterator[Letter]:
    """`now` is Unix time."""
    broken_at = now - int(3.4 * _DAY)
    yield _raw(broken_at, "support", _BROKEN, "greg")
    yield _raw(now - 47 * _DAY, "alice", _OLD_SCANNER, "stock")
    yield _raw(now - 8 * _DAY, "bob", _FORWARDED, "tom")


def _raw(at: int, reader: str, template: bytes, sender: str) -> Letter:
    date = format_datetime(datetime.fromtimestamp(at, UTC)).encode("ascii")
    raw = template.replace(b"@DATE@", date).replace(b"\n", b"\r\n")
    return Letter(at, CAST[sender], (CAST[reader],), "", "", raw=raw, unread=reader == "support")


# A boundary that never occurs as declared, an unknown charset, a line in the header that is no field, raw 8-bit octets.
_BROKEN: Final = b"""Return-Path: <greg.tanner@postbox.example>
Received: from scanner (unknown [192.0.2.77])
\tby sandbox.test (Sandbox); @DATE@
From: "Greg Tanner <greg.tanner@postbox.example>
To: support@sandbox.test
Subject: =?x-unknown-9?Q?Damaged_parcel_=96_photos?= and \xe9t\xe9 =?utf-8?B?broken!
This line is not a header field at all
Date: @DATE@
Message-ID: <broken-0001@postbox.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="----=_declared_but_never_used"

------=_something_else
Content-Type: text/plain; charset=x-unknown-9
Content-Transfer-Encoding: quoted-printable

Hello, the parcel from order 30990 arrived open =E2=80=93 one spoke box is
missing. My scanner made this mail, I hope it can be read=ZZ.

------=_something_else
Content-Type: image/jpeg; name="photo.jpg
Content-Transfer-Encoding: base64

/9j/4AAQSkZJRgABAQ this is not base64 any more ***
"""

# A filename as encoded word inside a parameter (not allowed, and common), and a lone attachment without any text.
_OLD_SCANNER: Final = b"""Date: @DATE@
From: Scanner, 1st floor <reports@tandemlane.example>
To: alice@sandbox.test
Subject: Scan
Message-ID: <scan-20017@tandemlane.example>
MIME-Version: 1.0
Content-Type: text/csv; charset=iso-8859-1;
\tname="=?iso-8859-1?Q?Pr=FCfliste_Gabelstapler.csv?="
Content-Disposition: attachment;
\tfilename="=?iso-8859-1?Q?Pr=FCfliste_Gabelstapler.csv?="
Content-Transfer-Encoding: quoted-printable

Punkt;Ergebnis
=D6lstand;in Ordnung
Gabeltr=E4ger;geschmiert
"""

# A message inside a message.
_FORWARDED: Final = b"""Return-Path: <tom.hale@greyquay.example>
Date: @DATE@
From: Tom Hale <tom.hale@greyquay.example>
To: Bob Okafor <bob@sandbox.test>
Subject: Fwd: Side gate locked on Wednesday
Message-ID: <fwd-551@greyquay.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="gq-551"

--gq-551
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Hi Bob,

this is from Yvonne, see below. Could you remind the caretaker? She says the
coffee made up for it \xe2\x98\x95.

Tom
--gq-551
Content-Type: message/rfc822
Content-Disposition: attachment; filename="Side gate.eml"

Date: @DATE@
From: Yvonne Achterberg <y.achterberg@greyquay.example>
To: Tom Hale <tom.hale@greyquay.example>
Subject: Side gate locked on Wednesday
Message-ID: <gate-1@greyquay.example>
MIME-Version: 1.0
Content-Type: text/plain; charset=us-ascii

6:41, gate locked, rang twice, waited nine minutes. Bob opened it himself.
No harm done.

--gq-551--
"""
