"""From what was typed to a mailbox that works, or to the reason why not: for the wizard and the API (spec E1, D1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from django.db import IntegrityError
from django.http import HttpRequest
from django.utils import timezone

from accounts.checks import INCOMING_FIELDS, OUTGOING_FIELDS, reading, sending
from accounts.connecting import Servers, Wish, connect, servers_of
from accounts.forms import PasswordForm, ServersForm
from accounts.models import Mailbox
from mailservers.checking import CheckReport
from mailservers.passwords import meant_password
from mailservers.streaming import Part
from organizations import audit
from organizations.models import AuditEntry, Organization, User
from protocols.credentials import Secret
from protocols.endpoint import Protocol
from protocols.steps import StepStatus
from providers.models import Provider

Side: TypeAlias = Literal["reads", "sends"]

ONE_USERNAME: Final = {"username": "username"}  # a form with servers by hand asks for one name, used on both sides
_NAMES: Final[dict[Side, str]] = {"reads": "reading", "sends": "sending"}


def wish_at(provider: Provider, address: str, form: PasswordForm, organization: Organization) -> Wish:
    """What a valid form wants, at the servers of `provider`."""
    data = form.cleaned_data
    return _wish(address, form, servers_of(provider, address, data["username"]), organization)


def wish_by_hand(servers_form: ServersForm, address: str, form: PasswordForm, organization: Organization) -> Wish:
    """What two valid forms want, at servers that a person typed."""
    return _wish(address, form, servers_form.servers(), organization)


def parts_of(wish: Wish, organization: Organization) -> dict[Side, Part]:
    """What is to be checked, reading first. Servers from the catalog have no fields that a fix could fill."""
    servers = wish.servers
    parts: dict[Side, Part] = {}
    by_hand = servers.provider is None
    if servers.incoming is not None:
        login = servers.incoming_login(wish.password)
        fills = INCOMING_FIELDS | ONE_USERNAME if by_hand else None
        parts["reads"] = reading(servers.incoming, login, organization, servers.provider, fills)
    if servers.outgoing is not None:
        login = servers.outgoing_login(wish.password)
        fills = OUTGOING_FIELDS | ONE_USERNAME if by_hand else None
        parts["sends"] = sending(servers.outgoing, login, organization, servers.provider, wish.address, fills)
    return parts


def conclude(user: User, wish: Wish, reports: Mapping[Side, CheckReport], request: HttpRequest) -> Mailbox | None:
    """Keep the mailbox if it can read, or sends and was never meant to read; None, and nothing kept, otherwise.

    Reading and sending are judged apart: a mailbox that can only read is kept, and says so (spec D1). What failed
    stands in the audit log, with the step and the reason (spec A8). A second attempt at the same moment finds the
    mailbox of the first.
    """
    for side, report in reports.items():
        if not report.ok:
            _note_failure(user, wish, side, report, request)
    works = {side: report.ok for side, report in reports.items()}
    if not works.get("reads", works.get("sends", False)):
        return None
    now = timezone.now()
    try:
        mailbox = connect(user, wish, sends=works.get("sends", False), now=now, request=request)
    except IntegrityError:
        mailbox = Mailbox.objects.get(organization_id=user.organization_id, owner=user, address=wish.address)
    if "sends" in reports and (trouble := reports["sends"].diagnosis):
        mailbox.note_trouble(trouble, Protocol.SMTP, now)
    return mailbox


def _wish(address: str, form: PasswordForm, servers: Servers, organization: Organization) -> Wish:
    endpoint = servers.incoming or servers.outgoing
    text, host = form.cleaned_data["password"], endpoint.host if endpoint else ""
    password = Secret(meant_password(text, servers.provider, host=host, organization=organization))
    return Wish(address, form.cleaned_data["display_name"], servers, password)


def _note_failure(user: User, wish: Wish, side: Side, report: CheckReport, request: HttpRequest) -> None:
    """Which address, where and at which step; what the server said may quote what was typed, and stays out."""
    endpoint = wish.servers.incoming if side == "reads" else wish.servers.outgoing
    failed = next((step.name.value for step in report.steps if step.status is StepStatus.FAILED), "")
    audit.record(
        "mailbox.connecting_failed",
        organization=user.organization,
        actor=user,
        outcome=AuditEntry.Outcome.FAILED,
        detail={
            "address": wish.address,
            "connection": _NAMES[side],
            "server": str(endpoint),
            "step": failed or "before connecting",
            "reason": report.diagnosis.code if report.diagnosis else "",
        },
        request=request,
    )
