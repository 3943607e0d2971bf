"""The commands that carry sender and recipients, with the parameters that a server offers (RFC 5321, 4.1.1).

SIZE (RFC 1870), BODY=8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531), NOTIFY, ORCPT, RET and ENVID (RFC 3461).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import idna

from protocols.errors import Refused, UnsafeArgument
from protocols.smtp.octets import Content

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')  # RFC 5321, 4.1.2
_NOT_XTEXT = re.compile(r"[^!-*,-<>-~]")  # RFC 3461, 4: printable ASCII but "+" and "="
_ENDS_PATH = re.compile("[<> ]")
_NOT_UNITEXT = re.compile(r"[\x00-\x20+=\\\x7f]")  # RFC 6533, 3: what stays encoded beside letters of any script


class Notify(StrEnum):
    """When a delivery report is wanted; none of them: never (RFC 3461, 4.1)."""

    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    DELAY = "DELAY"


class Returned(StrEnum):
    """What a report of failure brings back (RFC 3461, 4.3)."""

    HEADER = "HDRS"
    MESSAGE = "FULL"


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """Which delivery reports are asked for; said only where the server offers DSN.

    envelope_id: comes back in each report; printable ASCII, at most 100 characters.
    """

    notify: frozenset[Notify] = frozenset({Notify.FAILURE, Notify.DELAY})
    returned: Returned = Returned.HEADER
    envelope_id: str = ""

    def __post_init__(self) -> None:
        if not (self.envelope_id.isascii() and len(self.envelope_id) <= 100 and self.envelope_id.isprintable()):
            raise UnsafeArgument("An envelope id is at most 100 printable ASCII characters (RFC 3461, 4.4).")


def mail_command(
    sender: str,
    recipients: Sequence[str],
    content: Content | None,
    offered: Mapping[str, str],
    reports: ReportRequest | None,
) -> str:
    """MAIL FROM with the parameters that are offered and needed. Raises as `path` does.

    content: None where no message follows.
    """
    command = f"MAIL FROM:<{path(sender, offered) if sender else ''}>"
    international = not all(path(address, offered).isascii() for address in (sender, *recipients) if address)
    if content is not None:
        if "SIZE" in offered:
            command += f" SIZE={content.size}"
        if not content.ascii and "8BITMIME" in offered:
            command += " BODY=8BITMIME"
        international = international or not content.ascii_header
    if international and "SMTPUTF8" in offered:
        command += " SMTPUTF8"
    if reports is not None and "DSN" in offered:
        command += f" RET={reports.returned}"
        if reports.envelope_id:
            command += f" ENVID={_xtext(reports.envelope_id)}"
    return command


def rcpt_command(address: str, offered: Mapping[str, str], reports: ReportRequest | None) -> str:
    """RCPT TO, with what is wanted of reports where the server offers DSN. Raises as `path` does."""
    written = path(address, offered)
    command = f"RCPT TO:<{written}>"
    if reports is not None and "DSN" in offered:
        notify = ",".join(each for each in Notify if each in reports.notify) or "NEVER"
        kind, original = ("rfc822", _xtext(written)) if written.isascii() else ("utf-8", _unitext(written))
        command += f" NOTIFY={notify} ORCPT={kind};{original}"
    return command


def path(address: str, offered: Mapping[str, str]) -> str:
    """Return `address` as it goes between the angle brackets; the domain in ASCII where that is enough.

    Raises UnsafeArgument for what could end the path, Refused where SMTPUTF8 (RFC 6531) is needed and missing.
    """
    local, at, domain = address.rpartition("@")
    unsafe = _ENDS_PATH.search(domain) or not domain.isprintable() or not local.isprintable()
    quoted = _QUOTED.fullmatch(local) is not None
    if not at or not local or not domain or unsafe or (not quoted and any(c in '<> "' for c in local)):
        raise _no_address(address)
    if domain.isascii() and local.isascii():
        return address
    if not local.isascii():
        if "SMTPUTF8" not in offered:
            raise Refused(f"{address} has letters that this server cannot handle (it does not offer SMTPUTF8).")
        return address
    try:
        return f"{local}@{idna.encode(domain, uts46=True).decode('ascii')}"
    except idna.IDNAError as exc:
        raise _no_address(address) from exc


def _no_address(address: str) -> UnsafeArgument:
    return UnsafeArgument(f"{address[:100]!r} is not an address that mail can be sent to.")


def _xtext(text: str) -> str:
    return _NOT_XTEXT.sub(lambda found: f"+{ord(found[0]):02X}", text)


def _unitext(text: str) -> str:
    return _NOT_UNITEXT.sub(lambda found: f"\\x{{{ord(found[0]):02X}}}", text)
