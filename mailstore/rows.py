"""Rows of the lists in the mail panel: conversations of a folder, and messages that a search found."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zlib import crc32

from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from accounts.models import Mailbox
from mailstore.models import Folder, Listing, Message
from mailstore.short_names import short_name
from organizations.paging import Page, cursor, newest_first

_ADDRESSED = frozenset({Folder.SpecialUse.SENT, Folder.SpecialUse.DRAFTS})  # what matters there is to whom

#: What a row of a found message is made of.
SHOWN = (
    "conversation", "received_at", "is_seen", "is_flagged", "from_name", "from_address", "subject", "preview",
    "attachment_count", "folder__name", "folder__special_use", "mailbox__address",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a list.

    key:    its place in the list, as a cursor.
    opens:  "c" and the key of a conversation, or "m" and that of one message of it.
    is_flagged: the newest message of it is starred.
    number: messages behind it.
    place:  the folder, where a list spans several.
    folder: of a found message that the reader may change: where it lies; `use` is what that folder is for.
    """

    pk: int
    key: str
    opens: str
    url: str
    who: str
    subject: str
    preview: str
    at: datetime
    is_unread: bool
    has_attachments: bool
    conversation: int
    is_flagged: bool = False
    number: int = 1
    place: str = ""
    folder: int | None = None
    use: str = ""

    @property
    def state(self) -> str:
        """Another one as soon as the line would be drawn otherwise; the day counts, since times are drawn by it."""
        return f"{crc32(repr((self, timezone.localdate())).encode()):08x}"


@dataclass(frozen=True, slots=True)
class RowPage:
    """next: cursor of the next page, "" on the last one. words: beginnings of words to mark."""

    rows: list[Row]
    next: str = ""
    words: Sequence[str] = ()


def folder_rows(folder: Folder, after: str = "") -> RowPage:
    """One page of a folder's conversations, newest first; one query."""
    listings = Listing.objects.filter(folder=folder).select_related("newest", "conversation")
    fields = ["last_at", "message_count", "unread_count", "senders", "has_attachments", "conversation__subject"]
    fields += ["newest__subject", "newest__preview", "newest__from_name", "newest__from_address", "newest__is_flagged"]
    if folder.special_use in _ADDRESSED:
        fields.append("newest__to")
    page: Page[Listing] = newest_first(listings.only(*fields), "last_at", after)
    return RowPage([_of_listing(listing, folder) for listing in page.rows], page.next)


def found_rows(
    page: Page[Message], query: Mapping[str, str], words: Sequence[str], changeable: Collection[int]
) -> RowPage:
    """The rows of messages that a search for `words` found, with folders loaded.

    query: what its address says. changeable: mailboxes whose messages the reader may mark and move.
    """
    return RowPage([_of_message(message, query, changeable) for message in page.rows], page.next, words)


def conversation_url(conversation_pk: int, **query: str | int) -> str:
    return f"{reverse('mailstore:conversation', args=[conversation_pk])}?{urlencode(query)}"


def _of_listing(listing: Listing, folder: Folder) -> Row:
    newest = listing.newest
    who = _recipients(newest.to) if folder.special_use in _ADDRESSED else _senders(listing)
    return Row(
        pk=listing.pk,
        key=cursor(listing.last_at, listing.pk),
        opens=f"c{listing.conversation_id}",
        url=conversation_url(listing.conversation_id, folder=folder.pk),
        who=who or "Unknown sender",
        subject=listing.conversation.subject or newest.subject,
        preview=newest.preview,
        at=listing.last_at,
        is_unread=listing.unread_count > 0,
        conversation=listing.conversation_id,
        is_flagged=newest.is_flagged,
        has_attachments=listing.has_attachments,
        number=listing.message_count,
    )


def _of_message(message: Message, query: Mapping[str, str], changeable: Collection[int]) -> Row:
    return Row(
        pk=message.pk,
        key=cursor(message.received_at, message.pk),
        opens=f"m{message.pk}",
        url=conversation_url(message.conversation_id, **query, message=message.pk),
        who=message.from_name or message.from_address or "Unknown sender",
        subject=message.subject,
        preview=message.preview,
        at=message.received_at,
        is_unread=not message.is_seen,
        conversation=message.conversation_id,
        is_flagged=message.is_flagged,
        has_attachments=message.attachment_count > 0,
        place=place_of(message.folder, message.mailbox),
        folder=message.folder_id if message.mailbox_id in changeable else None,
        use=message.folder.special_use,
    )


def place_of(folder: Folder, mailbox: Mailbox) -> str:
    """Where a message lies, as a list of several mailboxes says it."""
    name = "Inbox" if folder.special_use == Folder.SpecialUse.INBOX else folder.name
    return f"{name} of {mailbox.address}"


def _senders(listing: Listing) -> str:
    """Short names where several wrote, the whole name where only one did."""
    newest = listing.newest
    return listing.senders if ", " in listing.senders else newest.from_name or newest.from_address


def _recipients(to: Sequence[Sequence[str]]) -> str:
    names = [short_name(name, address) for name, address in to[:6]]
    return f"To {', '.join(names)}" if names else "To nobody yet"
