"""What is tried when an account is tested: each of its connections, judged apart (spec D1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from accounts.models import Mailbox
from mailservers.checking import CheckReport, check_incoming, check_outgoing
from mailservers.streaming import Part
from organizations.models import Organization
from protocols.credentials import Credentials, Secret
from protocols.endpoint import Endpoint
from protocols.steps import Observer
from providers.models import Provider

INCOMING_FIELDS = {"host": "imap_host", "port": "imap_port", "security": "imap_security", "username": "imap_username"}
OUTGOING_FIELDS = {"host": "smtp_host", "port": "smtp_port", "security": "smtp_security", "username": "smtp_username"}


def reading(
    endpoint: Endpoint,
    login: Credentials,
    organization: Organization,
    provider: Provider | None,
    fills: Mapping[str, str] | None = None,
) -> Part:
    """`fills`: fields of the form that a found fix may fill; None where the form has no such fields."""
    check = partial(check_incoming, endpoint, login, provider=provider, organization=organization)
    return Part("Reading mail", partial(_run, check, fills), fills or {})


def sending(
    endpoint: Endpoint,
    login: Credentials | None,
    organization: Organization,
    provider: Provider | None,
    sender: str,
    fills: Mapping[str, str] | None = None,
) -> Part:
    """As `reading`. `sender`: the address that has to be allowed as envelope sender."""
    check = partial(check_outgoing, endpoint, login, provider=provider, organization=organization, sender=sender)
    return Part("Sending mail", partial(_run, check, fills), fills or {})


def checks_of(mailbox: Mailbox, password: Secret) -> list[Part]:
    """The connections of a mailbox as it stands in a form, with the password that counts there."""
    parts, organization = [], mailbox.organization
    if (incoming := mailbox.incoming()) is not None:
        login = Credentials(mailbox.imap_username or mailbox.address, password)
        parts.append(reading(incoming, login, organization, mailbox.provider, INCOMING_FIELDS))
    server, outgoing = mailbox.mail_server, mailbox.outgoing()
    if server is not None:
        parts.append(sending(server.endpoint(), server.credentials(), organization, server.provider, mailbox.address))
    elif outgoing is not None:
        login = Credentials(mailbox.smtp_username or mailbox.address, password)
        parts.append(sending(outgoing, login, organization, mailbox.provider, mailbox.address, OUTGOING_FIELDS))
    return parts


def _run(check: partial[CheckReport], fills: Mapping[str, str] | None, observe: Observer) -> CheckReport:
    """A form without fields for the servers gets no button that would fill them."""
    report = check(observe=observe)
    if fills is None and report.diagnosis is not None:
        return replace(report, diagnosis=replace(report.diagnosis, fixes={}))
    return report
