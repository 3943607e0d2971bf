"""The copy in the mailbox's own Sent folder: a task of its own, once, and never a reason to send again (spec I6)."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import BinaryField
from django.db.models.functions import Substr
from django.utils import timezone

from accounts.models import Mailbox
from accounts.sessions import imap_session
from delivery.ledger import ClaimLost
from delivery.models import OutboxMessage, OutboxOctets
from delivery.states import SentCopy
from mailservers.passwords import PasswordUnreadable
from mailstore import runs
from mailstore.models import Folder
from organizations import live
from organizations.faultpoints import faultpoint
from protocols.errors import Deferred, LoginRefused, MailError, Unreachable
from protocols.imap.connection import Pieces
from protocols.imap.folders import SpecialUse
from protocols.imap.responses import response_code
from protocols.imap.session import ImapSession
from providers.models import Provider

log = logging.getLogger(__name__)

WAITS = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
PIECE = 256 * 1024  # octets
ONLY_THE_COPY = "The mail was sent; only the copy failed:"

_FULL = re.compile(r"\bquota\b|\bmailbox (?:is )?full\b", re.IGNORECASE)  # of servers without the code of RFC 9208


class NoSentFolder(MailError):
    """The mailbox has no folder for sent mail that we could recognise."""


def wanted_by(mailbox: Mailbox) -> SentCopy:
    """Whether mail from this mailbox needs a copy filed by us: not where the provider that sends files it itself."""
    if not (mailbox.appends_sent and mailbox.imap_host):
        return SentCopy.NOT_WANTED
    return SentCopy.WAITING if filing_provider(mailbox) is None else SentCopy.NOT_WANTED


def filing_provider(mailbox: Mailbox) -> Provider | None:
    """The provider that sends for the mailbox and files in its Sent folder what it has taken; None: nobody does so."""
    server = mailbox.mail_server
    if server is None:
        provider = mailbox.provider
    else:  # a company's relay files nothing; the provider's own does so in the mailbox that logs in
        same = server.username.casefold() == mailbox.address.casefold()
        provider = server.provider if same else None
    return provider if provider is not None and provider.files_sent_mail else None


def file_copy(message_pk: int) -> bool:
    """Append the sent message to the Sent folder unless it is there; True when it is there now.

    Whoever does not get the claim does nothing. Failures that pass are tried again by the sweeper.
    """
    claim = OutboxMessage.objects.claim_copy(message_pk, timezone.now())
    if claim is None:
        return False
    message = OutboxMessage.objects.select_related("mailbox__provider").get(pk=message_pk)
    try:
        return _file(message, claim)
    finally:
        live.announce(message.organization_id, "outbox", message.pk)


def _file(message: OutboxMessage, claim: int) -> bool:
    mailbox = message.mailbox
    if mailbox is None:
        return _end(message, claim, SentCopy.FAILED, "its email account has been deleted.")
    if mailbox.paused_at is not None or mailbox.login_refusals:
        return _wait(message, claim, f"{mailbox} is not connected just now; the copy follows when it is.")
    try:
        with imap_session(mailbox) as session:
            folder = sent_folder(mailbox, session)
            state = session.examine(folder)
            if not (state.exists and session.search_message_id(message.message_id)):
                session.append(folder, Pieces(message.size, _octets(message.pk, claim)), flags=(r"\Seen",))
                faultpoint("copy appended")
    except ClaimLost as exc:
        log.warning("The copy of message %s was left to another worker: %s", message.pk, exc)
        return False
    except OutboxOctets.DoesNotExist:
        return _end(message, claim, SentCopy.FAILED, "its text is no longer kept.")
    except PasswordUnreadable as exc:
        return _wait(message, claim, f"{exc} The copy follows when it was typed again.")
    except (Unreachable, Deferred) as exc:
        failures = message.sent_copy_failures + 1
        if _is_full(exc) or failures > len(WAITS):
            return _end(message, claim, SentCopy.FAILED, _sentence(exc))
        return _wait(message, claim, f"{_sentence(exc)} It is tried again.", failures)
    except LoginRefused as exc:
        runs.refused_to_watch(mailbox.pk, timezone.now())
        return _wait(message, claim, f"{_sentence(exc)} The copy follows when the right password is stored.")
    except MailError as exc:
        return _end(message, claim, SentCopy.FAILED, _sentence(exc))
    return _end(message, claim, SentCopy.FILED, "")


def _octets(message_pk: int, claim: int) -> Iterator[bytes]:
    """The frozen octets, piece by piece: a large message with its files is never in memory whole (fault R25).

    Each piece leaves under a renewed lease, so that a slow line does not outlast it. Raises ClaimLost where another
    worker has taken over: a literal that never ends is no message, and the server keeps nothing of it.
    """
    mine, offset = OutboxOctets.objects.filter(pk=message_pk), 1
    while piece := bytes(mine.values_list(Substr("raw", offset, PIECE, output_field=BinaryField()), flat=True).get()):
        if not OutboxMessage.objects.keep_filing(message_pk, claim, timezone.now()):
            raise ClaimLost(f"Filing {claim} lost its claim after {offset - 1} octets.")
        yield piece
        offset += len(piece)


def sent_folder(mailbox: Mailbox, session: ImapSession) -> bytes:
    """Return the raw name of the Sent folder: as the last sync saw it, else as the server lists it now."""
    known = mailbox.folders.filter(special_use=Folder.SpecialUse.SENT, is_selectable=True, vanished_at=None).first()
    if known is not None:
        return bytes(known.raw_name)
    for entry in session.folders():
        if entry.special_use is SpecialUse.SENT and entry.selectable:
            return entry.raw_name
    raise NoSentFolder("The mailbox has no folder for sent mail. Make one named “Sent”, then save the copy again.")


def _end(message: OutboxMessage, claim: int, state: SentCopy, why: str) -> bool:
    note = f"{ONLY_THE_COPY} {why}" if why else ""
    ended = OutboxMessage.objects.filing(message.pk, claim).update(sent_copy=state, sent_copy_note=note[:500])
    return bool(ended) and state is SentCopy.FILED


def _wait(message: OutboxMessage, claim: int, note: str, failures: int = 0) -> bool:
    """failures: in a row, of the server; 0 where it was not asked, which uses up no try."""
    wait = WAITS[min(failures or claim, len(WAITS)) - 1]
    kept = {"sent_copy_failures": failures} if failures else {}
    OutboxMessage.objects.filing(message.pk, claim).update(
        sent_copy=SentCopy.WAITING, sent_copy_not_before=timezone.now() + wait, sent_copy_note=note[:500], **kept
    )
    return False


def _is_full(error: MailError) -> bool:
    return response_code(error.reply)[0] == "OVERQUOTA" or bool(_FULL.search(error.reply))


def _sentence(error: MailError) -> str:
    if _is_full(error):
        return "the mailbox is full."
    words = str(error).rstrip(".")
    return f"{words[:1].lower()}{words[1:]} ({error.reply[:200]})." if error.reply else f"{words}."


def give_back_abandoned(now: datetime, lease: timedelta) -> int:
    """Filings whose worker vanished wait again; the next one looks for the Message-ID first."""
    abandoned = OutboxMessage.objects.filter(sent_copy=SentCopy.FILING, sent_copy_claimed_at__lte=now - lease)
    return abandoned.update(sent_copy=SentCopy.WAITING, sent_copy_not_before=now)
