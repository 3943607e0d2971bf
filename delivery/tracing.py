"""Our own marks on outgoing mail, by which what comes back is known to be about it (spec I7).

The mark is a header field that holds the Message-ID once more, under a signature: servers on the way rewrite
Message-IDs, and return the field as it is. Whoever has got the mail knows its mark.

The envelope id (ENVID, RFC 3461, 4.4) is another signature over the same. It travels in the envelope alone: servers on
the way know it, recipients never do. So only it proves that a report was written by one of those servers.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from django.conf import settings

from protocols.message.returned import OWN_FIELD
from protocols.smtp.session import ReportRequest

if TYPE_CHECKING:
    from delivery.models import OutboxMessage

LONGEST_ENVELOPE_ID: Final = 100  # characters (RFC 3461, 5.4)

_MARK, _ENVELOPE = "delivery.tracing.mark", "delivery.tracing.envelope"
_SIGNATURE_OCTETS: Final = 15  # 20 characters, 120 bits


def mark_field(message_id: str) -> tuple[str, str]:
    """The header field that marks a mail as ours. message_id: without angle brackets."""
    return OWN_FIELD, f"{message_id} {_signature(_MARK, message_id, settings.SECRET_KEY)}"


def marked_identifier(value: str) -> str:
    """Return the Message-ID that our field holds; "" where somebody else wrote it, or changed it."""
    identifier, _, signature = " ".join(value.split())[:1_000].partition(" ")
    return identifier if _is_ours(_MARK, identifier, signature) else ""


def envelope_id(message_id: str) -> str:
    """What a submission names its envelope by; "" where servers would not take it."""
    named = f"{_signature(_ENVELOPE, message_id, settings.SECRET_KEY)}.{message_id}"
    fits = len(named) <= LONGEST_ENVELOPE_ID and named.isascii() and named.isprintable()
    return named if fits else ""


def wanted_reports(message: OutboxMessage) -> ReportRequest | None:
    """Which delivery reports a submission asks for: of failures and delays, with our envelope id and the header alone.

    None for what leaves with the null reverse-path, since nothing is to come back.
    """
    return None if message.has_null_sender else ReportRequest(envelope_id=envelope_id(message.message_id))


def enveloped_identifier(value: str) -> str:
    """Return the Message-ID of an envelope id of ours; "" for any other."""
    signature, _, identifier = value.partition(".")
    return identifier if _is_ours(_ENVELOPE, identifier, signature) else ""


def _is_ours(salt: str, identifier: str, signature: str) -> bool:
    if not identifier or not signature.isascii():
        return False
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)  # what is on its way outlives a change of the key
    return any(hmac.compare_digest(_signature(salt, identifier, key), signature) for key in keys)


def _signature(salt: str, identifier: str, key: str | bytes) -> str:
    digest = hmac.digest(_key_for(salt, key), identifier.encode(), "sha256")
    return base64.urlsafe_b64encode(digest[:_SIGNATURE_OCTETS]).decode("ascii")


@lru_cache(maxsize=8)
def _key_for(salt: str, key: str | bytes) -> bytes:
    """What `django.utils.crypto.salted_hmac` would derive anew for each signature."""
    secret = key.encode() if isinstance(key, str) else key
    return hashlib.sha256(salt.encode() + secret).digest()
