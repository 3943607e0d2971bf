"""What is tried when an account is tested: each of its connections, judged apart (spec D1)."""

from __future__ import annotations

from functools import partial

from accounts.models import Mailbox
from mailservers.checking import check_incoming, check_outgoing
from mailservers.streaming import Part
from organizations.models import Organization
from protocols.credentials import Credentials, Secret
from protocols.endpoint import Endpoint
from providers.models import Provider

INCOMING_FIELDS = {"host": "imap_host", "port": "imap_port", "security": "imap_security"}
OUTGOING_FIELDS = {"host": "smtp_host", "port": "smtp_port", "security": "smtp_security"}


def reading(endpoint: Endpoint, login: Credentials, organization: Organization, provider: Provider | None) -> Part:
    check = partial(check_incoming, endpoint, login, provider=provider, organization=organization)
    return Part("Reading mail", lambda observe: check(observe=observe), INCOMING_FIELDS)


def sending(
    endpoint: Endpoint, login: Credentials | None, organization: Organization, provider: Provider | None, sender: str
) -> Part:
    check = partial(check_outgoing, endpoint, login, provider=provider, organization=organization, sender=sender)
    return Part("Sending mail", lambda observe: check(observe=observe), OUTGOING_FIELDS)


def checks_of(mailbox: Mailbox, password: Secret) -> list[Part]:
    """The connections of a mailbox as it stands in a form, with the password that counts there."""
    parts, organization = [], mailbox.organization
    if (incoming := mailbox.incoming()) is not None:
        login = Credentials(mailbox.imap_username or mailbox.address, password)
        parts.append(reading(incoming, login, organization, mailbox.provider))
    if (outgoing := mailbox.outgoing()) is not None:
        through_server = mailbox.mail_server is not None
        own = Credentials(mailbox.smtp_username or mailbox.address, password)
        outgoing_login = mailbox.outgoing_credentials() if through_server else own
        parts.append(sending(outgoing, outgoing_login, organization, mailbox.provider, mailbox.address))
    return parts
