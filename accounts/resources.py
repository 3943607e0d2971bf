"""What the API takes and gives about email accounts, which programs know as mailboxes."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from accounts.models import Mailbox, State
from accounts.rights import Right
from mailservers.resources import OneLine, Password, Port, SecurityName
from organizations.calls import Asked, Key, Text
from protocols.message.languages import LANGUAGES

RightName = Literal["access", "send", "setup"]
Period = Literal["day", "week", "month", "quarter", "year", "everything"]
OptionalHost = Annotated[Text, Field(max_length=253)]
DisplayName = Annotated[Text, Field(min_length=1, max_length=150)]
LanguageTag = Annotated[
    Text, Field(max_length=10, description=f"One of {', '.join(LANGUAGES)}; empty: that of its owner's profile.")
]
MailAddress = Annotated[Text, Field(min_length=1, max_length=320)]


class Trouble(BaseModel):
    """Why an account needs attention, in the doctor's words."""

    code: str
    title: str
    since: datetime | None


class MailboxSettings(BaseModel):
    """Servers and habits. Passwords are never among them."""

    provider: int | None
    imap_host: str = Field(description="Empty: it only sends.")
    imap_port: int
    imap_security: SecurityName
    imap_username: str
    has_password: bool
    mail_server: int | None = Field(description="The organization's server that sends for it.")
    smtp_host: str = Field(description="Its own server; counts where there is no `mail_server`.")
    smtp_port: int
    smtp_security: SecurityName
    smtp_username: str
    downloads: bool = Field(description="Whether new mail is fetched by itself.")
    download_period: Period
    all_folders: bool
    sync_interval: int | None = Field(description="Minutes; null: as set for all.")
    appends_sent: bool
    retries_uncertain: bool = Field(
        description="Whether what nobody knows to be sent is sent again by itself, once. It may arrive twice."
    )
    sender_address: str = Field(description="Stands in From of its mail; empty: its own address.")
    language: str = Field(
        description="Of what is written into its mail; empty: that of its owner's profile, English without owner."
    )


class MailboxDocument(BaseModel):
    """An address with its store."""

    id: int
    address: str = Field(examples=["sales@example.com"])
    display_name: str
    owner: int | None = Field(description="A person; null: the organization's.")
    is_default: bool = Field(description="Used where a call names no mailbox.")
    is_shared: bool
    state: Literal["connected", "needs_attention", "paused"] = Field(description="What it does now: see its `sync`.")
    attention: Trouble | None
    receives: bool
    sends: bool
    can_send: bool
    rights: list[RightName] = Field(description="What you may do with it.")
    created_at: datetime
    connected_at: datetime | None = Field(description="Last successful login.")
    settings: MailboxSettings | None = Field(
        description="Null where you may not change them, and in lists those of another person's: read it by itself."
    )


class MailboxList(BaseModel):
    items: list[MailboxDocument]
    next: str | None = Field(description="The `cursor` of the next page; null on the last.")


class NewMailbox(Asked):
    """An account to add, as in the administrator's dialog: it sends through one of the organization's servers."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "address": "sales@example.com",
                    "display_name": "Sales",
                    "mail_server": 1,
                    "imap_host": "imap.example.com",
                    "password": "correct horse battery",
                }
            ]
        }
    )

    address: MailAddress
    display_name: DisplayName
    mail_server: Key
    owner: Key | None = Field(None, description="A person; null: the organization's.")
    is_default: bool = False
    imap_host: OptionalHost = ""
    imap_port: Port = 993
    imap_security: SecurityName = "tls"
    imap_username: OneLine = ""
    password: Password = ""
    accepts_clear_text: bool = Field(False, description="Confirms security none.")


class MailboxChanges(Asked):
    """What changes; the rest stays. The stored password is kept, unless a server changes."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"display_name": "Sales", "sync_interval": 15}]})

    display_name: DisplayName = ""
    is_default: bool = False
    sends: bool = True
    appends_sent: bool = True
    retries_uncertain: bool = False
    sender_address: Annotated[Text, Field(max_length=254)] = ""
    language: LanguageTag = ""
    mail_server: Key | None = None
    imap_host: OptionalHost = ""
    imap_port: Port = 993
    imap_security: SecurityName = "tls"
    imap_username: OneLine = ""
    smtp_host: OptionalHost = ""
    smtp_port: Port = 465
    smtp_security: SecurityName = "tls"
    smtp_username: OneLine = ""
    password: Password = ""
    accepts_clear_text: bool = False
    downloads: bool = True
    download_period: Period = "week"
    all_folders: bool = True
    sync_interval: Annotated[int, Field(ge=1, le=1440)] | None = None


def mailbox_document(mailbox: Mailbox, rights: Collection[Right], *, shows_settings: bool) -> MailboxDocument:
    """`rights`: what the caller holds on it."""
    trouble = mailbox.attention
    quiet = State.PAUSED if mailbox.paused_at else State.CONNECTED
    state = State.NEEDS_ATTENTION if trouble else quiet
    return MailboxDocument(
        id=mailbox.pk,
        address=mailbox.address,
        display_name=mailbox.display_name,
        owner=mailbox.owner_id,
        is_default=mailbox.is_default,
        is_shared=mailbox.is_shared,
        state=cast("Literal['connected', 'needs_attention', 'paused']", state.value),
        attention=Trouble(
            code=str(trouble.get("code", "")),
            title=str(trouble.get("title") or "This account needs attention."),
            since=mailbox.attention_since,
        )
        if trouble
        else None,
        receives=bool(mailbox.imap_host),
        sends=mailbox.sends,
        can_send=mailbox.can_send,
        rights=[right.value for right in Right if right in rights],
        created_at=mailbox.created_at,
        connected_at=mailbox.connected_at,
        settings=_settings(mailbox) if shows_settings else None,
    )


def _settings(mailbox: Mailbox) -> MailboxSettings:
    return MailboxSettings(
        provider=mailbox.provider_id,
        imap_host=mailbox.imap_host,
        imap_port=mailbox.imap_port,
        imap_security=cast("SecurityName", mailbox.imap_security),
        imap_username=mailbox.imap_username,
        has_password=mailbox.has_password,
        mail_server=mailbox.mail_server_id,
        smtp_host=mailbox.smtp_host,
        smtp_port=mailbox.smtp_port,
        smtp_security=cast("SecurityName", mailbox.smtp_security),
        smtp_username=mailbox.smtp_username,
        downloads=mailbox.downloads,
        download_period=cast("Period", mailbox.download_period),
        all_folders=mailbox.all_folders,
        sync_interval=mailbox.sync_interval,
        appends_sent=mailbox.appends_sent,
        retries_uncertain=mailbox.retries_uncertain,
        sender_address=mailbox.sender_address,
        language=mailbox.language,
    )
