"""What the API takes and gives about mail servers and checks."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from mailservers.allowing import told_to
from mailservers.checking import CheckReport
from mailservers.models import MailServer
from organizations.calls import Asked, Key, Text
from organizations.models import User

SecurityName = Literal["tls", "starttls", "none"]
Port = Annotated[int, Field(ge=1, le=65535)]
Limit = Annotated[int, Field(ge=1, le=1_000_000)]
Host = Annotated[Text, Field(max_length=253)]
OneLine = Annotated[Text, Field(max_length=320)]
ReplyAddress = Annotated[Text, Field(max_length=254, description="Counts where `sends_from_reply_to` is on.")]
Password = Annotated[Text, Field(max_length=1000, description="Never given back by any call.")]


class CheckStep(BaseModel):
    name: str = Field(examples=["login"])
    status: Literal["ok", "failed", "skipped"]
    ms: int = Field(description="Milliseconds.")
    detail: str = Field(description="A short fact or, after a failure, the server's words.")


class CheckCause(BaseModel):
    cause: str
    cure: str
    who: Literal["user", "administrator", "provider", "wait"] = Field(description="Who can cure it.")
    field: str = Field(description="The field to correct, where it is one.")
    link: str = Field(description="Where the cure is explained, where it is.")


class CheckDiagnosis(BaseModel):
    """Causes in order of likelihood."""

    code: str = Field(examples=["password-refused"])
    title: str
    causes: list[CheckCause]
    retry: str = Field(description="What is tried by itself: stop, back off, once later, or next day.")
    fixes: dict[str, str] = Field(default_factory=dict, description="Values that would probably work.")


class Check(BaseModel):
    """What trying a connection found. Nothing is sent and nothing is changed on the server."""

    ok: bool
    steps: list[CheckStep]
    diagnosis: CheckDiagnosis | None
    server_response: str = Field(description="What both sides said, with secrets masked.")


class BothChecks(Check):
    """Both connections, judged apart. The members of a single check speak of both, or of the one that failed."""

    incoming: Check | None = Field(description="Null where there is no IMAP server.")
    outgoing: Check | None = Field(description="Null where nothing sends.")


class MailServerDocument(BaseModel):
    """An outgoing server of the organization."""

    id: int
    name: str = Field(examples=["Office"])
    provider: int | None = Field(description="Of the catalog, where it is a known service.")
    host: str = Field(examples=["smtp.example.com"])
    port: int = Field(examples=[587])
    security: SecurityName
    username: str
    has_password: bool
    timeout: int = Field(description="Seconds to wait for each answer.")
    is_default: bool
    connections: int | None = Field(description="Open at once; null: as the catalog says of its provider, else usual.")
    messages_per_connection: int | None = Field(description="Then a new one is opened; null: as above.")
    per_minute: int | None = Field(description="Messages within any 60 seconds; null: as above.")
    per_day: int | None = Field(description="Messages within any 24 hours; null: as above.")
    fallback: int | None = Field(description="The server that sends while this one cannot be reached.")
    unreachable_since: datetime | None = Field(description="Null while it answers. Meanwhile its mail waits.")
    sends_from_reply_to: bool = Field(
        description="Mail of automation and the API: From is the reply address, else `default_reply_address`, else the "
        "user name. Off: From is the mailbox."
    )
    default_reply_address: str
    mailbox_count: int = Field(description="How many mailboxes send through it.")
    created_at: datetime
    checked_at: datetime | None
    changed_since_check: bool
    check: Check | None = Field(description="The last check.")


class MailServerList(BaseModel):
    items: list[MailServerDocument]
    next: str | None = Field(description="The `cursor` of the next page; null on the last.")


class MailServerValues(Asked):
    """Values to try; a name is needed only to save."""

    provider: Key | None = None
    name: Annotated[Text, Field(max_length=120)] = ""
    host: Host
    port: Port = 587
    security: SecurityName = "starttls"
    username: OneLine = ""
    password: Password = ""
    timeout: Annotated[int, Field(ge=1, le=300)] = 40
    accepts_clear_text: bool = Field(False, description="Confirms `security` none together with a login.")


class NewMailServer(MailServerValues):
    """A server to add. A user name needs a password and the other way round."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Office",
                    "host": "smtp.example.com",
                    "port": 587,
                    "security": "starttls",
                    "username": "office@example.com",
                    "password": "correct horse battery",
                }
            ]
        }
    )

    name: Annotated[Text, Field(min_length=1, max_length=120)]
    is_default: bool = False
    connections: Limit | None = None
    messages_per_connection: Limit | None = None
    per_minute: Limit | None = None
    per_day: Limit | None = None
    fallback: Key | None = None
    sends_from_reply_to: bool = False
    default_reply_address: ReplyAddress = ""


class MailServerChanges(Asked):
    """What changes; the rest stays. The stored password is kept, unless the server itself changes."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Office", "timeout": 60}]})

    provider: Key | None = None
    name: Annotated[Text, Field(min_length=1, max_length=120)] = ""
    host: Annotated[Host, Field(min_length=1)] = ""
    port: Port = 587
    security: SecurityName = "starttls"
    username: OneLine = ""
    password: Password = ""
    timeout: Annotated[int, Field(ge=1, le=300)] = 40
    is_default: bool = False
    sends_from_reply_to: bool = False
    default_reply_address: ReplyAddress = ""
    accepts_clear_text: bool = False
    connections: Limit | None = None
    messages_per_connection: Limit | None = None
    per_minute: Limit | None = None
    per_day: Limit | None = None
    fallback: Key | None = Field(default=None, description="Another server, which may send as the same addresses.")


class TestMessageResult(BaseModel):
    """Whether the server took the message, and its words."""

    __test__ = False

    ok: bool
    recipient: str
    steps: list[CheckStep]
    diagnosis: CheckDiagnosis | None
    server_response: str


def check_document(report: CheckReport, reader: User) -> Check:
    """In the words for `reader`."""
    return Check.model_validate(replace(report, diagnosis=told_to(reader, report.diagnosis)).as_json())


def both_checks(incoming: Check | None, outgoing: Check | None) -> BothChecks:
    parts = [part for part in (incoming, outgoing) if part is not None]
    return BothChecks(
        ok=all(part.ok for part in parts),
        steps=[step for part in parts for step in part.steps],
        diagnosis=next((part.diagnosis for part in parts if not part.ok), None),
        server_response="\n\n".join(part.server_response for part in parts if part.server_response),
        incoming=incoming,
        outgoing=outgoing,
    )


def server_document(server: MailServer) -> MailServerDocument:
    """`server` has `mailbox_count`; its password is not opened."""
    return MailServerDocument(
        id=server.pk,
        name=server.name,
        provider=server.provider_id,
        host=server.host,
        port=server.port,
        security=cast("SecurityName", server.security),
        username=server.username,
        has_password=server.has_password,
        timeout=server.timeout,
        is_default=server.is_default,
        connections=server.connections,
        messages_per_connection=server.messages_per_connection,
        per_minute=server.per_minute,
        per_day=server.per_day,
        fallback=server.fallback_id,
        unreachable_since=server.unreachable_since,
        sends_from_reply_to=server.sends_from_reply_to,
        default_reply_address=server.default_reply_address,
        mailbox_count=server.mailbox_count,
        created_at=server.created_at,
        checked_at=server.checked_at,
        changed_since_check=server.changed_since_check,
        check=Check.model_validate(server.check_result) if server.check_result else None,
    )
