"""How large a mail gets, and how large it may be, before anybody waits for it to be sent (spec I8)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from accounts.models import Mailbox
from mailservers.sizes import largest_message, place, size_limits

ENCODED_LINE = 78 / 57  # base64: 57 octets make a line of 76 and its line end (RFC 2045, 6.8)
MEGABYTE = 1024 * 1024
ALWAYS_TAKEN = 64 * 1024  # octets; every server takes messages of this size (RFC 5321, 4.5.3.1.7)


@dataclass(frozen=True, slots=True)
class MailLimit:
    """octets: of the whole mail as it travels. host: which server says so."""

    octets: int
    host: str

    def refusal(self, size: int) -> str:
        """One sentence about a mail of `size` octets; "" where it is small enough."""
        if size <= self.octets:
            return ""
        return (
            f"The mail is {in_megabytes(size)} as it travels, where files grow by a third; {self.host} takes "
            f"{in_megabytes(self.octets)}. Choose fewer or smaller files, or send a link instead."
        )


def limits_of(mailboxes: Iterable[Mailbox]) -> dict[int, MailLimit]:
    """By the key of the mailbox; those of whose server nobody knows a limit lack. One query for all."""
    servers = {mailbox.pk: (mailbox, mailbox.outgoing()) for mailbox in mailboxes}
    told = size_limits(place(endpoint) for _, endpoint in servers.values() if endpoint is not None)
    found = {}
    for pk, (mailbox, endpoint) in servers.items():
        if endpoint is None:
            continue
        provider = mailbox.mail_server.provider if mailbox.mail_server is not None else mailbox.provider
        if octets := largest_message(told.get(place(endpoint), 0), provider):
            found[pk] = MailLimit(octets, endpoint.host)
    return found


def why_too_large(mailbox: Mailbox, size: int) -> str:
    """Why the server behind `mailbox` would not take a mail of `size` octets; "" where nothing is known against it."""
    if size <= ALWAYS_TAKEN:
        return ""
    limit = limits_of([mailbox]).get(mailbox.pk)
    return limit.refusal(size) if limit is not None else ""


def in_megabytes(octets: int) -> str:
    return f"{octets / MEGABYTE:.1f} MB"
