"""From an address to its provider: the organization's own domains first, then the shared catalog (spec C3 to C5)."""

from __future__ import annotations

import hashlib
from datetime import datetime

import idna
from django.db import IntegrityError, transaction
from django.db.models import Q
from email_validator import EmailNotValidError, validate_email

from organizations.models import Organization
from protocols.endpoint import Endpoint
from providers.catalog import a_label
from providers.models import LoginRule, Provider, ProviderDomain

LONGEST_NAME = 120  # characters of a provider's name
LONGEST_ADDRESS = 254  # RFC 5321, 4.5.3.1.3, without the angle brackets


class AddressError(ValueError):
    """What was typed is not an email address; the message tells the person what to change."""


def clean_address(text: str) -> str:
    """Return the address as it is stored: no spaces around it, the domain in lower case (its U-label form, RFC 5890).

    Asks no DNS. Raises AddressError with a sentence for the person who typed it.
    """
    text = text.strip().strip("\u200b\ufeff").removesuffix(".")
    if not text:
        raise AddressError("Type an email address, such as anna@example.com.")
    local, at, domain = text.rpartition("@")
    if not at:
        raise AddressError("An email address has an @ in it, such as anna@example.com.")
    if not local:
        raise AddressError("The part before the @ is missing.")
    if not domain:
        raise AddressError("The domain after the @ is missing, such as example.com.")
    if any(character.isspace() for character in text):
        raise AddressError("An email address has no spaces in it.")
    if "." not in domain:
        raise AddressError(f"“{domain[:80]}” has no dot: the domain after the @ looks like example.com.")
    try:
        # The domain is checked by itself: the library refuses company.local, which is fine on a company's own servers.
        checked = validate_email(f"{local}@example.com", check_deliverability=False)
        name = a_label(domain)
        shown = idna.decode(name) if "xn--" in name else name
    except (EmailNotValidError, ValueError) as exc:
        raise AddressError("This is not an email address; check it for typing errors.") from exc
    if len(text) > LONGEST_ADDRESS:
        raise AddressError(f"An email address has at most {LONGEST_ADDRESS} characters.")
    return f"{checked.local_part}@{shown}"


def domain_of(address: str) -> str:
    """The domain of an address in lower case and A-label form, without a trailing dot; "" when it has none."""
    _, at, domain = address.strip().rpartition("@")
    try:
        return a_label(domain) if at and domain else ""
    except ValueError:
        return ""


def recognise(address: str, organization: Organization) -> Provider | None:
    """The provider that serves the address, as far as the organization's domains and the shared catalog know.

    A domain counts exactly; names below it only where its row says so. The organization's own row wins over the
    shared one, and a longer name over a shorter one. One query.
    """
    domain = domain_of(address)
    if not domain:
        return None
    labels = domain.split(".")
    parents = [".".join(labels[start:]) for start in range(1, len(labels) - 1)]
    rows = (
        ProviderDomain.objects.filter(Q(organization=organization) | Q(organization=None))
        .filter(Q(domain=domain) | Q(domain__in=parents, covers_subdomains=True))
        .filter(provider__is_hidden=False)
        .select_related("provider")
    )
    best = max(rows, key=lambda row: (row.organization_id is not None, len(row.domain)), default=None)
    return best.provider if best else None


def provider_at(host: str, organization: Organization | None = None) -> Provider | None:
    """The catalog's provider whose IMAP or SMTP host this is, for servers that a person typed."""
    name = host.strip().lower().removesuffix(".")
    known = Provider.objects.filter(Q(imap_host=name) | Q(smtp_host=name), is_hidden=False)
    known = known.filter(Q(organization=None) | Q(organization=organization) if organization else Q(organization=None))
    return known.order_by("-often_used", "pk").first() if name else None


def learn(address: str, provider: Provider, organization: Organization, now: datetime) -> bool:
    """Remember that the address's domain is served by `provider`; False where nothing had to be learned (spec C5).

    Call it after a connection worked. What the catalog or an administrator says is never overruled by what one
    person chose; an earlier lesson is.
    """
    domain = domain_of(address)
    if not domain or recognise(address, organization) == provider:
        return False
    own = ProviderDomain.objects.filter(organization=organization, domain=domain)
    if own.exists():
        return own.exclude(learned_at=None).update(provider=provider, learned_at=now) == 1
    if ProviderDomain.objects.filter(organization=None, domain=domain, provider__is_hidden=False).exists():
        return False
    try:
        with transaction.atomic():
            own.create(organization=organization, domain=domain, provider=provider, learned_at=now)
    except IntegrityError:  # somebody else taught it in this moment
        return False
    return True


def learn_servers(
    address: str,
    organization: Organization,
    now: datetime,
    *,
    incoming: Endpoint | None,
    outgoing: Endpoint | None,
    imap_username: str = "",
    smtp_username: str = "",
) -> Provider | None:
    """Remember servers that a person typed and that worked, as a provider of the organization (spec C5).

    None where the domain is known already, or where neither server was typed.
    """
    domain = domain_of(address)
    if not domain or not (incoming or outgoing) or recognise(address, organization) is not None:
        return None
    values: dict[str, object] = {"name": domain[:LONGEST_NAME]}
    if incoming:
        values |= {
            "imap_host": incoming.host,
            "imap_port": incoming.port,
            "imap_security": incoming.security.value,
            "imap_login": login_rule(address, imap_username),
        }
    if outgoing:
        values |= {
            "smtp_host": outgoing.host,
            "smtp_port": outgoing.port,
            "smtp_security": outgoing.security.value,
            "smtp_login": login_rule(address, smtp_username),
        }
    provider, _ = Provider.objects.update_or_create(
        organization=organization, key=_learned_key(domain), defaults=values
    )
    learn(address, provider, organization, now)
    return provider


def _learned_key(domain: str) -> str:
    """A key of its own for each domain: my-firm.example and my.firm.example are not the same people."""
    return f"learned-{domain.replace('.', '-')[:50]}-{hashlib.sha256(domain.encode()).hexdigest()[:16]}"


def login_rule(address: str, username: str) -> LoginRule:
    """By which rule `username` was made from `address`; an empty user name means the whole address."""
    if not username or username.lower() == address.lower():
        return LoginRule.ADDRESS
    return LoginRule.LOCAL_PART if username.lower() == address.rpartition("@")[0].lower() else LoginRule.TYPED
