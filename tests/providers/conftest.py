"""A small catalog, and forms filled in as the pages fill them."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO

import pytest
from django.test import Client
from django.urls import reverse
from PIL import Image

from organizations.models import Organization, User
from providers import entries
from providers.models import Provider, ProviderDomain

HTMX = {"HX-Request": "true"}


@pytest.fixture
def google(db) -> Provider:
    provider = Provider.objects.create(
        key="google",
        name="Google (Gmail)",
        imap_host="imap.gmail.com",
        smtp_host="smtp.gmail.com",
        authentication="app_password",
        status="needs_preparation",
        hint="Google asks for an app password.",
        instructions_url="https://example.com/app-passwords",
        limits={"connections": 15, "message_size": 26_000_000},
        often_used=True,
    )
    for domain in ("gmail.com", "googlemail.com"):
        ProviderDomain.objects.create(domain=domain, provider=provider)
    return provider


@pytest.fixture
def hey(db) -> Provider:
    provider = Provider.objects.create(
        key="hey", name="HEY", status="not_possible", hint="HEY opens to its own apps only."
    )
    ProviderDomain.objects.create(domain="hey.com", provider=provider)
    return provider


@pytest.fixture
def ada(client_of: Callable[[User], Client], administrator: User) -> Client:
    """Signed in, holds every operation."""
    return client_of(administrator)


@pytest.fixture
def make_own(organization: Organization) -> Callable[..., Provider]:
    """`make_own("Northwind", "northwind.example", **fields)`: an own entry of the organization."""

    def make(name: str, *domains: str, **fields: object) -> Provider:
        values: dict[str, object] = {
            "organization": organization,
            "key": entries.new_key(),
            "imap_host": "imap.northwind.example",
            "smtp_host": "smtp.northwind.example",
        }
        provider = Provider.objects.create(name=name, **{**values, **fields})
        for domain in domains:
            ProviderDomain.objects.create(organization=provider.organization, domain=domain, provider=provider)
        return provider

    return make


@pytest.fixture
def override(administrator: User) -> Callable[..., Provider]:
    """`override(built_in, **fields)`: the administrator's organization says something else about it."""

    def make(built_in: Provider, **fields: object) -> Provider:
        own = entries.own_copy(built_in, administrator.organization)
        for name, value in fields.items():
            setattr(own, name, value)
        return entries.keep(own, administrator)

    return make


@pytest.fixture
def entry_form() -> dict[str, object]:
    """What a browser posts for a new entry; a switch that is off is left out."""
    return {
        "key": entries.new_key(),
        "name": "Northwind Mail",
        "receives": "on",
        "imap_host": "imap.northwind.example",
        "imap_port": "993",
        "imap_security": "tls",
        "imap_login": "address",
        "delivers": "on",
        "smtp_host": "smtp.northwind.example",
        "smtp_port": "465",
        "smtp_security": "tls",
        "smtp_login": "local_part",
        "smtp_timeout": "40",
        "authentication": "password",
        "status": "works",
        "hint": "",
        "instructions_url": "",
        "kept_logo": "",
    }


def url(name: str, *args: object) -> str:
    return reverse(f"providers:{name}", args=args)


def picture(kind: str = "PNG", size: tuple[int, int] = (300, 200), mode: str = "RGB", **options: object) -> bytes:
    """The octets of a plain image."""
    out = BytesIO()
    Image.new(mode, size, "navy" if mode == "RGB" else None).save(out, kind, **options)
    return out.getvalue()


def words(answer) -> str:
    """The text of a page without markup."""
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())
