"""What is wrong with the incoming server of a mailbox, in words that say what to do."""

from __future__ import annotations

from accounts.models import Mailbox
from mailservers.diagnosis import diagnose
from protocols.diagnosis import Diagnosis
from protocols.endpoint import Protocol
from protocols.errors import MailError


def incoming_trouble(mailbox: Mailbox, error: MailError) -> Diagnosis:
    """Explain why a conversation with the incoming server failed. The mailbox has one."""
    endpoint = mailbox.incoming()
    assert endpoint is not None
    return diagnose(
        error,
        protocol=Protocol.IMAP,
        endpoint=endpoint,
        provider_key=mailbox.provider.key if mailbox.provider else "",
        organization=mailbox.organization,
    )
