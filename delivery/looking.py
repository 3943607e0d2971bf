"""Where a trace of a message can be found, and what is there: one sentence for each place (spec I3, fault R19).

Nothing is changed anywhere: folders are opened by EXAMINE, and stored mail is read.

All mail of the organization is looked through, and whoever sees the message in the log reads the sentences. So they
name nobody but its recipients: neither whose mailbox a copy lies in, nor who wrote to whom about it (spec F3).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from accounts.models import Mailbox
from accounts.sessions import kept_imap_session
from delivery.evidence import Copy, Finds
from delivery.models import OutboxMessage
from delivery.sent_copy import NoSentFolder, sent_folder
from mailservers.passwords import PasswordUnreadable
from mailstore import runs
from mailstore.models import Folder, Message, ThreadKey
from mailstore.packs import RawUnavailable, open_raw
from protocols.errors import LoginRefused, MailError
from protocols.imap.session import ImapSession
from protocols.message.parse import parse_summary
from protocols.message.threading import thread_key

MOST = 20  # stored messages that are opened for one message of ours
HEADER = 256 * 1024  # octets of a stored message in which its header ends
ITS_FIELDS = b"MESSAGE-ID RECEIVED"
CLOCKS_DIFFER = timedelta(days=1)

_TRACE = re.compile(rb"^received[ \t]*:", re.IGNORECASE | re.MULTILINE)


def look(message: OutboxMessage) -> Finds:
    """Look in the Sent folder on the server, then in stored mail of the organization. Waits for the network."""
    return _in_sent_folder(message) + _in_store(message) + _answers(message)


def _in_sent_folder(message: OutboxMessage) -> Finds:
    mailbox = message.mailbox
    if mailbox is None:
        return Finds(sentences=("Its email account was deleted, so there is no Sent folder to look in.",))
    if not mailbox.imap_host:
        return Finds(sentences=(f"{mailbox} has no incoming server, so there is no Sent folder to look in.",))
    if mailbox.paused_at is not None or mailbox.login_refusals:
        told = f"The Sent folder could not be looked in: {mailbox} is not connected just now."
        return Finds(sentences=(told,), complete=False)
    try:
        with kept_imap_session(mailbox, ImapSession.noop, logged_in=lambda: None) as (session, _):
            copies = tuple(_copies_on_server(session, mailbox, message))
    except NoSentFolder:
        return Finds(sentences=(f"{mailbox} has no Sent folder.",))
    except LoginRefused as exc:
        runs.refused_to_watch(mailbox.pk, timezone.now())
        return _prevented(exc)
    except (MailError, PasswordUnreadable) as exc:
        return _prevented(exc)
    there = "it is there." if copies else "it is not there."
    if any(copy.is_traced for copy in copies):
        there = "it is there, with the mark of a server that took it."
    elif copies and message.sent_copy_tries:
        there = "there is a copy, which may be our own."
    return Finds(copies, sentences=(f"Sent folder at {mailbox.imap_host}: {there}",))


def _prevented(error: Exception) -> Finds:
    words = str(error).rstrip(".")
    return Finds(
        sentences=(f"The Sent folder could not be looked in: {words[:1].lower()}{words[1:]}.",), complete=False
    )


def _copies_on_server(session: ImapSession, mailbox: Mailbox, message: OutboxMessage) -> Iterator[Copy]:
    if not session.examine(sent_folder(mailbox, session)).exists:
        return
    wanted = _bare(message).encode()
    for outline in session.outlines(session.search_message_id(_bare(message))[:MOST], fields=ITS_FIELDS):
        if b"<%b>" % wanted in outline.head:  # SEARCH finds what contains it
            yield Copy(mailbox.address, in_sent=True, is_traced=bool(_TRACE.search(outline.head)))


def _in_store(message: OutboxMessage) -> Finds:
    """Copies that syncs have brought: in the Sent folder, or where it arrived among our own people."""
    ours = Mailbox.objects.filter(organization_id=message.organization_id).order_by()
    stored = Message.objects.filter(mailbox__in=ours, message_id=_bare(message)).exclude(
        folder__special_use=Folder.SpecialUse.DRAFTS
    )
    copies, arrived = [], []
    for one in stored.select_related("mailbox", "folder").order_by("pk")[:MOST]:
        in_sent = one.mailbox_id == message.mailbox_id and one.folder.special_use == Folder.SpecialUse.SENT
        copy = Copy(one.mailbox.address, in_sent=in_sent, is_traced=_is_traced(one))
        copies.append(copy)
        if copy.is_traced and not in_sent:
            arrived.append(copy.holder)
    if arrived:
        told = f"Stored mail: it arrived {_places(arrived, _recipients(message))}."
    else:
        told = "Stored mail: there is a copy in Sent." if copies else "Stored mail: no copy of it."
    return Finds(tuple(copies), sentences=(told,))


def _places(holders: Iterable[str], recipients: frozenset[str]) -> str:
    """Where copies arrived; a mailbox that it was not addressed to, such as one behind an alias, is not named."""
    named = list(dict.fromkeys(holder for holder in holders if holder.casefold() in recipients))
    return f"in {', '.join(named)}" if named else "in another mailbox of this organization"


def _recipients(message: OutboxMessage) -> frozenset[str]:
    return frozenset(one.address.casefold() for one in message.recipients.all())


def _answers(message: OutboxMessage) -> Finds:
    """Who refers to its Message-ID has it, or is a server that speaks of it."""
    bare = _bare(message)
    keys = ThreadKey.objects.filter(mailbox__organization_id=message.organization_id, key=thread_key(bare))
    strands = list(keys.values_list("conversation", flat=True))
    tied = Message.objects.filter(Q(conversation__in=strands) | Q(strand__in=strands))
    later = tied.filter(received_at__gte=message.created_at - CLOCKS_DIFFER).exclude(message_id=bare)
    for one in later.exclude(from_address__iexact=message.sender).order_by("received_at")[:MOST]:
        if _refers_to(one, bare):
            is_here = one.mailbox_id == message.mailbox_id and one.from_address.casefold() in _recipients(message)
            who = f"a message from {one.from_address}" if is_here else "another message"
            return Finds(answered=True, sentences=(f"Stored mail: {who} refers to it.",))
    return Finds(sentences=("Stored mail: no answer to it, and no report that it came back.",))


def _refers_to(stored: Message, bare: str) -> bool:
    try:
        summary = parse_summary(open_raw(stored))
    except RawUnavailable:
        return False
    return bare in summary.references or bare in summary.in_reply_to


def _is_traced(stored: Message) -> bool:
    try:
        head = open_raw(stored)[:HEADER].partition(b"\r\n\r\n")[0]
    except RawUnavailable:
        return False
    return bool(_TRACE.search(head))


def _bare(message: OutboxMessage) -> str:
    """The Message-ID without angle brackets, as stored mail keeps it."""
    return message.message_id.strip("<>")
