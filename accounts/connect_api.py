"""`/mailboxes/connect` of the API: one's own mailbox, as the wizard connects it (spec E1, C4 to C6, L1)."""

from __future__ import annotations

from typing import Annotated, Final

from ninja import Router, Status
from pydantic import ConfigDict, Field

from accounts.api import mailbox_at, refuse_bound_token, writes
from accounts.attempting import conclude, parts_of, wish_at, wish_by_hand
from accounts.connecting import Wish, usual_display_name
from accounts.forms import AddressForm, PasswordForm, ProviderChoiceForm, ServersForm
from accounts.resources import DisplayName, MailAddress, MailboxDocument
from mailservers.api import checking
from mailservers.resources import BothChecks, Host, OneLine, Password, Port, SecurityName, both_checks, check_document
from organizations.calls import ApiRequest, Asked, FieldError, Invalid, Key, Problem, invalid, invalid_form
from protocols.steps import ignore
from providers import lookup
from providers.models import Provider
from providers.typed_servers import refuse_typed_servers

router = Router(tags=["Mailboxes"])

#: A 422 is either about members of the body, or about servers that did not let the mailbox in.
REFUSALS: Final[dict[str, object]] = {
    "responses": {
        422: {
            "description": "Something has to be corrected; or the servers refused, and the members of a check say why.",
            "content": {
                "application/problem+json": {
                    "schema": {
                        "anyOf": [
                            {"$ref": "#/components/schemas/Problem"},
                            {
                                "allOf": [
                                    {"$ref": "#/components/schemas/Problem"},
                                    {"$ref": "#/components/schemas/BothChecks"},
                                ]
                            },
                        ]
                    }
                }
            },
        }
    }
}
_USUAL_PORTS: Final = {
    "imap": {"tls": 993, "starttls": 143, "none": 143},
    "smtp": {"tls": 465, "starttls": 587, "none": 587},
}
_SIDES: Final = {"incoming": "imap", "outgoing": "smtp"}
_PARTS: Final = ("host", "port", "security")


class TypedServer(Asked):
    """One server."""

    host: Annotated[Host, Field(min_length=1, examples=["imap.example.com"])]
    port: Port | None = Field(None, description="Null: the usual one for the security.")
    security: SecurityName = "tls"


class TypedServers(Asked):
    """Servers that no provider names. With one that only sends, the mailbox only sends."""

    incoming: TypedServer | None = None
    outgoing: TypedServer | None = None
    accepts_clear_text: bool = Field(False, description="Confirms security none.")


class NewConnection(Asked):
    """A mailbox of one's own. Its provider follows from the address; `provider` or `servers` say otherwise."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"address": "anna@example.com", "password": "correct horse battery"}]}
    )

    address: MailAddress
    password: Annotated[Password, Field(min_length=1)]
    display_name: DisplayName | None = Field(None, description="Shown to whom you write; null: your name.")
    username: OneLine = Field(
        "", description="Counts with `servers`, and where the provider gives names of its own; empty: the address."
    )
    provider: Key | None = None
    servers: TypedServers | None = Field(None, description="Where your organization lets people type servers.")


@router.post(
    "/mailboxes/connect",
    auth=writes,
    operation_id="mailboxes_connect",
    response={201: MailboxDocument},
    openapi_extra=REFUSALS,
)
def mailboxes_connect(request: ApiRequest, body: NewConnection) -> Status[MailboxDocument]:
    """Connect a mailbox of your own by its password; it is kept, and its download begins, once its server lets you in.

    `/discovery` tells before what the provider wants. Nothing is kept where reading fails: a 422 of the kind
    `not-connected` then has the members of a check. A mailbox that reads but cannot send is kept; see its `attention`.
    """
    refuse_bound_token(request)
    wish = _wish(request, body)
    parts = parts_of(wish, request.user.organization)
    with checking(request):
        reports = {side: part.check(ignore) for side, part in parts.items()}
    mailbox = conclude(request.user, wish, reports, request)
    if mailbox is not None:
        return Status(201, mailbox_at(request, mailbox.pk))
    found = {side: check_document(report, request.user) for side, report in reports.items()}
    raise _not_connected(wish.address, both_checks(found.get("reads"), found.get("sends")))


def _wish(request: ApiRequest, body: NewConnection) -> Wish:
    """What is to be tried. Raises Invalid, PermissionDenied or Problem 409, before anything is dialled."""
    address = _address(request, body)
    display_name = body.display_name or usual_display_name(request.user, address)
    form = PasswordForm({"display_name": display_name, "username": body.username, "password": body.password})
    if not form.is_valid():
        raise invalid_form(form)
    if body.servers is None:
        return wish_at(_provider(request, body, address), address, form, request.user.organization)
    servers_form = _servers(request, body, body.servers, address)
    return wish_by_hand(servers_form, address, form, request.user.organization)


def _address(request: ApiRequest, body: NewConnection) -> str:
    """Raises Invalid, or Problem 409 where the caller has connected it already."""
    form = AddressForm({"address": body.address}, user=request.user)
    if form.is_valid():
        return str(form.cleaned_data["address"])
    if form.connected is None:
        raise invalid_form(form)
    raise Problem(
        409,
        "already-connected",
        "You have connected this address already.",
        "Change that mailbox, or delete it; its key is in `mailbox`.",
        more={"mailbox": form.connected.pk},
    )


def _provider(request: ApiRequest, body: NewConnection, address: str) -> Provider:
    """The chosen one, else the recognised one. Raises Invalid, also where it cannot work (spec C6)."""
    if body.provider is None:
        provider, member = _recognised(request, address), "address"
    else:
        provider, member = _chosen(request, body.provider), "provider"
    if obstacle := provider.obstacle():
        raise invalid(member, obstacle)
    return provider


def _chosen(request: ApiRequest, pk: int) -> Provider:
    form = ProviderChoiceForm({"provider": pk}, user=request.user)
    if not form.is_valid():
        raise invalid_form(form)
    provider: Provider = form.cleaned_data["provider"]
    return provider


def _recognised(request: ApiRequest, address: str) -> Provider:
    found = lookup.look_up(address, request.user.organization)
    if found is None:
        domain = address.rpartition("@")[2]
        raise invalid("provider", f"Nobody knows {domain} yet. Say which provider serves it, or give its servers.")
    if found.is_hidden:
        raise invalid("address", found.obstacle())
    return found.provider


def _servers(request: ApiRequest, body: NewConnection, servers: TypedServers, address: str) -> ServersForm:
    """Raises PermissionDenied where people may not type servers (spec B3), and Invalid."""
    refuse_typed_servers(request.user)
    if body.provider is not None:
        raise invalid("servers", "Give either a provider or servers, not both.")
    values: dict[str, object] = {
        "username": body.username or address,
        "accepts_clear_text": servers.accepts_clear_text,
        "imap_security": "tls",
        "smtp_security": "tls",
    }
    for member, side in _SIDES.items():
        server: TypedServer | None = getattr(servers, member)
        if server is not None:
            values |= {
                f"{side}_host": server.host,
                f"{side}_port": server.port or _USUAL_PORTS[side][server.security],
                f"{side}_security": server.security,
            }
    form = ServersForm(values)
    if not form.is_valid():
        raise _by_members(invalid_form(form))
    return form


def _by_members(problem: Invalid) -> Invalid:
    """The errors of `ServersForm` by the members of the body that they are about."""
    members = {f"{side}_{part}": f"servers.{member}.{part}" for member, side in _SIDES.items() for part in _PARTS}
    members["accepts_clear_text"] = "servers.accepts_clear_text"
    return Invalid(*(FieldError(members.get(error.field, error.field), error.message) for error in problem.errors))


def _not_connected(address: str, check: BothChecks) -> Problem:
    diagnosis = check.diagnosis
    words = [diagnosis.title, *(cause.cure for cause in diagnosis.causes[:1])] if diagnosis else []
    return Problem(
        422,
        "not-connected",
        f"{address} was not connected.",
        " ".join(words),
        more=check.model_dump(mode="json"),
    )
