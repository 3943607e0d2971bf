"""What the API gives about stored mail, its folders, and how a sync stands."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from mailstore.models import Attachment, Folder, Message
from mailstore.packs import RawUnavailable, open_raw
from mailstore.rendering import clean
from mailstore.schedule import Progress
from mailstore.texts import storable
from organizations.calls import Asked, Key
from protocols.message.content import open_message


class MailAddress(BaseModel):
    name: str
    address: str


class MessageSummary(BaseModel):
    """A message as lists show it."""

    id: int
    mailbox: int
    folder: int
    conversation: int
    message_id: str = Field(description="Of its header (RFC 5322, 3.6.4), without angle brackets.")
    subject: str
    sender: MailAddress = Field(description="From.")
    recipients: list[MailAddress] = Field(description="To, then Cc.")
    date: datetime | None = Field(description="What the header claims.")
    received_at: datetime = Field(description="The order of every list.")
    size: int = Field(description="Octets.")
    preview: str
    is_seen: bool
    is_flagged: bool
    is_answered: bool
    is_draft: bool
    keywords: list[str]
    attachment_count: int


class MessageList(BaseModel):
    items: list[MessageSummary]
    next: str | None = Field(description="The `cursor` of the next page; null on the last.")


class AttachmentDocument(BaseModel):
    number: int = Field(description="For `/messages/{id}/attachments/{number}`; the first one is 1.")
    filename: str
    content_type: str
    size: int = Field(description="Decoded octets.")
    is_inline: bool


class MessageDocument(MessageSummary):
    """A message, opened."""

    text: str | None = Field(description="Plain text, made from the HTML where there is no other.")
    html: str | None = Field(description="Cleaned: no scripts, no forms, nothing that is fetched from elsewhere.")
    attachments: list[AttachmentDocument]
    trouble: str = Field(description="Why something is missing, as a sentence; else empty.")


class FolderDocument(BaseModel):
    """A place with messages; what IMAP calls a mailbox."""

    id: int
    name: str
    special_use: str = Field(description="inbox, sent, drafts, archive, junk, trash, ... or empty.")
    is_selectable: bool
    is_followed: bool = Field(description="Whether it is downloaded.")
    exists: int = Field(description="Messages on the server when it was last looked at.")
    synced_at: datetime | None
    problem: str


class FolderList(BaseModel):
    items: list[FolderDocument]
    next: str | None = Field(description="The `cursor` of the next page; null on the last.")


class RefreshedFolders(BaseModel):
    """What the server lists now."""

    listed: int = Field(description="Folders, also such as were known.")
    added: list[FolderDocument] = Field(description="Those that were not known before.")


class FolderChoice(Asked):
    """Which folders are downloaded; what is missing or null stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"all_folders": False, "folders": [1]}]})

    all_folders: bool | None = Field(None, description="All but junk, trash and views of other folders, new ones too.")
    folders: Annotated[list[Key], Field(max_length=5000)] | None = Field(
        None, description="These; with `all_folders`, those of junk, trash and views that are downloaded besides."
    )


class FollowedFolders(BaseModel):
    """The choice, and the folders that are downloaded by it."""

    all_folders: bool
    folders: list[int]


class SyncDocument(BaseModel):
    """What a mailbox does at this moment."""

    state: str = Field(description="connected, syncing, waiting, needs_attention or paused.")
    folder: str
    done: int = Field(description="Messages of the present run.")
    total: int
    rate_per_second: float | None
    seconds_left: float | None
    waiting_for: str
    until: datetime | None = Field(description="When it tries again.")
    arrived: int = Field(description="New messages of the last finished run.")
    finished_at: datetime | None = Field(description="End of the last run that came through.")
    started_at: datetime | None = Field(description="Begin of the present run.")
    holder: str = Field(description="The process that syncs it now, for those who may change its settings.")


def message_summary(message: Message) -> MessageSummary:
    return MessageSummary.model_validate(_summary(message))


def message_document(message: Message) -> MessageDocument:
    """Reads the stored octets; where they cannot be read, `trouble` says so."""
    text = html = None
    trouble = ""
    try:
        content = open_message(open_raw(message))
    except RawUnavailable as exc:
        trouble = str(exc)
    else:
        text = _writable(content.text)
        html = _writable(clean(content.html, lambda cid: None).html) if content.html is not None else None
    files = [
        AttachmentDocument(
            number=number,
            filename=file.filename,
            content_type=file.content_type,
            size=file.size,
            is_inline=file.is_inline,
        )
        for number, file in enumerate(attachments_of(message), 1)
    ]
    more = {"text": text, "html": html, "attachments": files, "trouble": trouble}
    return MessageDocument.model_validate(_summary(message) | more)


def attachments_of(message: Message) -> list[Attachment]:
    """In the order that gives them their numbers."""
    return list(message.attachments.order_by("pk"))


def folder_document(folder: Folder) -> FolderDocument:
    return FolderDocument(
        id=folder.pk,
        name=folder.name,
        special_use=folder.special_use,
        is_selectable=folder.is_selectable,
        is_followed=folder.is_followed,
        exists=folder.exists,
        synced_at=folder.synced_at,
        problem=folder.problem,
    )


def sync_document(progress: Progress, *, with_holder: bool) -> SyncDocument:
    return SyncDocument(
        state=progress.state.value,
        folder=progress.folder,
        done=progress.done,
        total=progress.total,
        rate_per_second=progress.rate_per_second,
        seconds_left=progress.seconds_left,
        waiting_for=progress.waiting_for,
        until=progress.until,
        arrived=progress.arrived,
        finished_at=progress.since,
        started_at=progress.began,
        holder=progress.holder if with_holder else "",
    )


def _summary(message: Message) -> dict[str, object]:
    return {
        "id": message.pk,
        "mailbox": message.mailbox_id,
        "folder": message.folder_id,
        "conversation": message.conversation_id,
        "message_id": message.message_id,
        "subject": message.subject,
        "sender": MailAddress(name=message.from_name, address=message.from_address),
        "recipients": [MailAddress(name=name, address=address) for name, address in message.to],
        "date": message.date,
        "received_at": message.received_at,
        "size": message.size,
        "preview": message.preview,
        "is_seen": message.is_seen,
        "is_flagged": message.is_flagged,
        "is_answered": message.is_answered,
        "is_draft": message.is_draft,
        "keywords": message.keywords,
        "attachment_count": message.attachment_count,
    }


def _writable(text: str | None) -> str | None:
    """Mail may hold halves of surrogate pairs, which no JSON in UTF-8 can carry."""
    return None if text is None else storable(text, len(text))
