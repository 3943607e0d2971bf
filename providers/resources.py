"""What the API takes and gives about the catalog and its look-up."""

from __future__ import annotations

from typing import Annotated, Final, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from organizations.calls import Asked, FieldError, Invalid, Key, Text
from protocols.endpoint import Endpoint
from providers.facts import MEGABYTE
from providers.models import Provider, ProviderDomain

Count = Annotated[int, Field(ge=1, le=100_000_000)]
Name = Annotated[Text, Field(min_length=1, max_length=120)]
Hint = Annotated[Text, Field(max_length=1000, description="Shown before the password.")]
Link = Annotated[Text, Field(max_length=500, description="Where the provider explains it; https.")]
Timeout = Annotated[int, Field(ge=1, le=300, description="Seconds to wait for each answer of the outgoing server.")]
AuthenticationName = Literal["password", "app_password", "oauth"]
StatusName = Literal["works", "needs_preparation", "not_possible"]
Domain = Annotated[Text, Field(min_length=1, max_length=320, examples=["example.com"])]


class ServerDocument(BaseModel):
    """Where to connect, and as whom."""

    host: str
    port: int
    security: str = Field(description="tls, starttls or none.")
    username: str = Field(description="For the address that was asked about; else the rule by which it is made.")


class ProviderDocument(BaseModel):
    """An entry of the catalog, shared by all or the organization's own."""

    id: int
    key: str = Field(examples=["example-mail"])
    name: str
    is_own: bool = Field(description="Of your organization, not of the shared catalog.")
    incoming: ServerDocument | None
    outgoing: ServerDocument | None
    timeout: int = Field(description="Seconds to wait for each answer of the outgoing server.")
    authentication: str = Field(description="password, app_password or oauth.")
    status: str = Field(description="works, needs_preparation or not_possible.")
    hint: str
    instructions_url: str
    files_sent_mail: bool = Field(description="It files sent mail by itself.")
    limits: dict[str, int]
    often_used: bool
    is_hidden: bool = Field(description="Your organization does not offer it to its people.")
    has_logo: bool


class ServerValues(Asked):
    """Where to connect. What is missing or null is usual, or stays."""

    host: Annotated[Text, Field(max_length=253)] | None = Field(None, examples=["imap.example.com"])
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    security: Literal["tls", "starttls", "none"] | None = None
    username: Literal["address", "local_part", "typed"] | None = Field(
        None, description="How it is made: the whole address, the part before the @, or typed by the user."
    )


class LimitValues(Asked):
    """What the provider allows; null where nothing is known."""

    connections: Annotated[int, Field(ge=1, le=1000)] | None = Field(default=None, description="At the same time.")
    messages_per_connection: Count | None = None
    per_minute: Count | None = None
    per_day: Count | None = None
    message_size: Annotated[int, Field(ge=1, le=10_000 * MEGABYTE)] | None = Field(default=None, description="Octets.")


class ProviderChanges(Asked):
    """What changes; the rest stays. `incoming` or `outgoing` null: it offers none."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"hint": "Switch IMAP on in your profile first."}]})

    name: Name = ""
    incoming: ServerValues | None = None
    outgoing: ServerValues | None = None
    timeout: Timeout = 40
    authentication: AuthenticationName = "password"
    status: StatusName = "works"
    hint: Hint = ""
    instructions_url: Link = ""
    files_sent_mail: bool = Field(False, description="It files sent mail by itself.")
    limits: LimitValues = LimitValues()
    often_used: bool = False

    @property
    def form_values(self) -> dict[str, object]:
        """The members that were there, by the names of `ProviderForm`."""
        values = self.sent
        for side, (switch, prefix) in _SIDES.items():
            if side in values:
                server = values.pop(side)
                values[switch] = server is not None
                values |= {
                    f"{prefix}_{'login' if name == 'username' else name}": value
                    for name, value in cast("dict[str, object]", server or {}).items()
                    if value is not None
                }
        if "timeout" in values:
            values["smtp_timeout"] = values.pop("timeout")
        limits = cast("dict[str, int | None]", values.pop("limits", {}))
        if size := limits.get("message_size"):
            limits["message_size"] = -(-size // MEGABYTE)
        return values | limits


class NewProvider(ProviderChanges):
    """An entry of the organization's own."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Example Mail",
                    "incoming": {"host": "imap.example.com"},
                    "outgoing": {"host": "smtp.example.com", "port": 587, "security": "starttls"},
                }
            ]
        }
    )

    name: Name

    @property
    def form_values(self) -> dict[str, object]:
        return {"receives": False, "delivers": False, **super().form_values}


_SIDES: Final = {"incoming": ("receives", "imap"), "outgoing": ("delivers", "smtp")}
_MEMBERS: Final = {
    "receives": "incoming",
    "delivers": "outgoing",
    "smtp_timeout": "timeout",
    **{f"imap_{name}": f"incoming.{name}" for name in ("host", "port", "security")},
    **{f"smtp_{name}": f"outgoing.{name}" for name in ("host", "port", "security")},
    "imap_login": "incoming.username",
    "smtp_login": "outgoing.username",
    **{name: f"limits.{name}" for name in LimitValues.model_fields},
}


def by_members(problem: Invalid) -> Invalid:
    """The errors of `ProviderForm` by the members of the body that they are about."""
    return Invalid(*(FieldError(_MEMBERS.get(error.field, error.field), error.message) for error in problem.errors))


class ProviderList(BaseModel):
    items: list[ProviderDocument]
    next: str | None = Field(description="The `cursor` of the next page; null on the last.")


class ProviderDomainDocument(BaseModel):
    """Which provider serves a domain."""

    id: int
    domain: str = Field(examples=["example.com"], description="In A-label form (RFC 5890).")
    provider: int
    covers_subdomains: bool
    is_own: bool
    is_learned: bool = Field(description="A colleague's choice taught it.")


class ProviderDomainList(BaseModel):
    items: list[ProviderDomainDocument]
    next: str | None = Field(description="The `cursor` of the next page; null on the last.")


class NewProviderDomain(Asked):
    """A domain, and who serves it; it counts before what the shared catalog says."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"domain": "example.com", "provider": 1}]})

    domain: Domain
    provider: Key
    covers_subdomains: bool = Field(False, description="Also every name below it.")


class ProviderDomainChanges(Asked):
    """What changes; the rest stays. Set by hand, a learned row is not taught anew."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"covers_subdomains": True}]})

    domain: Domain = ""
    provider: Key = 1
    covers_subdomains: bool = False


class Discovery(BaseModel):
    """What is known about an address before anybody types a password."""

    address: str
    source: str = Field(description="organization, catalog, hidden (your organization does not offer it), or unknown.")
    provider: ProviderDocument | None = Field(default=None, description="With its `hint` and `instructions_url`.")
    incoming: ServerDocument | None = None
    outgoing: ServerDocument | None = None
    obstacle: str = Field(default="", description="Why it cannot be connected, as a sentence; else empty.")
    asks_username: bool = Field(default=False, description="It gives user names of its own, which have to be typed.")
    password_goes_to: list[str] = Field(default=[], description="Hosts, where colleagues taught them.")
    may_type_servers: bool = Field(description="Whether you may connect to servers that no provider names.")


def provider_document(provider: Provider, *, is_hidden: bool = False) -> ProviderDocument:
    return ProviderDocument(
        id=provider.pk,
        key=provider.key,
        name=provider.name,
        is_own=provider.organization_id is not None,
        incoming=server_document(provider.incoming(), provider.imap_login),
        outgoing=server_document(provider.outgoing(), provider.smtp_login),
        timeout=provider.smtp_timeout,
        authentication=provider.authentication,
        status=provider.status,
        hint=provider.hint,
        instructions_url=provider.instructions_url,
        files_sent_mail=provider.files_sent_mail,
        limits=cast("dict[str, int]", provider.limits),
        often_used=provider.often_used,
        is_hidden=is_hidden,
        has_logo=bool(provider.logo_digest),
    )


def domain_document(row: ProviderDomain) -> ProviderDomainDocument:
    return ProviderDomainDocument(
        id=row.pk,
        domain=row.domain,
        provider=row.provider_id,
        covers_subdomains=row.covers_subdomains,
        is_own=row.organization_id is not None,
        is_learned=row.learned_at is not None,
    )


def server_document(endpoint: Endpoint | None, username: str) -> ServerDocument | None:
    if endpoint is None:
        return None
    return ServerDocument(host=endpoint.host, port=endpoint.port, security=endpoint.security.value, username=username)
