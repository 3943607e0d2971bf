"""The provider of the sandbox: it stands in the catalog while the sandbox runs, and is hidden when it does not."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from organizations.dialing import SANDBOX_IMAP_HOST, SANDBOX_SMTP_HOST
from protocols.endpoint import Security
from providers.models import SANDBOX_KEY, Provider, ProviderDomain

DOMAIN = "sandbox.test"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Where the running sandbox listens, and the one password of its mailboxes: it guards invented mail only."""

    imap_port: int
    smtp_port: int
    password: str


def offer_sandbox(sandbox: Sandbox) -> None:
    """Let `sandbox.test` be recognised, with its password as the hint before the password field."""
    values: dict[str, object] = {
        "name": "Sandbox",
        "imap_host": SANDBOX_IMAP_HOST,
        "imap_port": sandbox.imap_port,
        "imap_security": Security.NONE.value,
        "smtp_host": SANDBOX_SMTP_HOST,
        "smtp_port": sandbox.smtp_port,
        "smtp_security": Security.NONE.value,
        "hint": f"The mailboxes of the sandbox share one password: {sandbox.password}",
        "often_used": True,
        "is_hidden": False,
    }
    with transaction.atomic():
        provider = Provider.objects.filter(organization=None, key=SANDBOX_KEY).first()
        if provider is None:
            provider = Provider.objects.create(key=SANDBOX_KEY, **values)
        elif any(getattr(provider, name) != value for name, value in values.items()):
            for name, value in values.items():
                setattr(provider, name, value)
            provider.save(update_fields=list(values))
        ProviderDomain.objects.get_or_create(organization=None, domain=DOMAIN, defaults={"provider": provider})


def withdraw_sandbox() -> None:
    """Stop recognising `sandbox.test`. Mailboxes connected to it stay and say that their server is away."""
    Provider.objects.filter(organization=None, key=SANDBOX_KEY, is_hidden=False).update(is_hidden=True)
