"""The first start: a one-time link, or two environment variables, make the first administrator."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.http import HttpRequest

from organizations import audit
from organizations.models import Organization, SetupLink, User
from organizations.roles import add_member, administrators_of
from organizations.token_hash import hash_of


class UnusableSetupLink(Exception):
    """The link is unknown or was used."""

    def __init__(self, *, was_used: bool) -> None:
        super().__init__("This setup link was used." if was_used else "This setup link is not known.")
        self.was_used = was_used


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstAdministrator:
    """What the setup page asks for."""

    organization_name: str
    name: str
    email: str
    password: str
    time_zone: str = "UTC"


def is_set_up() -> bool:
    return User.objects.exists()


def make_setup_link(now: datetime) -> str:
    """Make the only valid link, and return its token, which is stored nowhere. Older unused links end here."""
    token = secrets.token_urlsafe(24)
    with transaction.atomic():
        SetupLink.objects.filter(used_at=None).delete()
        SetupLink.objects.create(token_hash=hash_of(token), created_at=now)
    return token


def check_setup_link(token: str) -> None:
    """Raises UnusableSetupLink."""
    link = SetupLink.objects.filter(token_hash=hash_of(token)).first()
    if link is None:
        raise UnusableSetupLink(was_used=False)
    if link.used_at is not None or is_set_up():
        raise UnusableSetupLink(was_used=True)


def use_setup_link(token: str, first: FirstAdministrator, *, now: datetime, request: HttpRequest | None = None) -> User:
    """Make the organization and its administrator. Of two uses at the same moment one raises UnusableSetupLink."""
    with transaction.atomic():
        if not SetupLink.objects.filter(token_hash=hash_of(token), used_at=None).update(used_at=now):
            check_setup_link(token)
            raise UnusableSetupLink(was_used=True)
        if is_set_up():
            raise UnusableSetupLink(was_used=True)
        return _found(first, request)


def create_first_administrator(email: str, password: str, organization_name: str = "") -> User | None:
    """For scripts. Does nothing, and returns None, once anybody exists. Without a name: the domain of the address."""
    name, _, domain = email.partition("@")
    with transaction.atomic():
        if is_set_up():
            return None
        SetupLink.objects.filter(used_at=None).delete()
        first = FirstAdministrator(
            organization_name=organization_name or domain or "My organization",
            name=name.replace(".", " ").replace("_", " ").title(),
            email=email,
            password=password,
        )
        return _found(first, None)


def _found(first: FirstAdministrator, request: HttpRequest | None) -> User:
    organization = Organization.objects.create(name=first.organization_name)
    user = User.objects.create_user(
        first.email, first.password, organization=organization, name=first.name, time_zone=first.time_zone
    )
    add_member(administrators_of(organization), user, added_by=None)
    audit.record("organization.set_up", organization=organization, actor=user, target=organization, request=request)
    return user
