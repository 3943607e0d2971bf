"""From an address to its provider: the organization's own domains first, then the shared catalog (spec C3 to C5)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, Subquery
from django.http import HttpRequest
from email_validator import EmailNotValidError, validate_email

from organizations import audit
from organizations.models import Organization, User
from organizations.operations import Operation
from protocols.endpoint import Endpoint
from providers.catalog import a_label, u_label
from providers.models import HiddenProvider, LoginRule, Provider, ProviderDomain

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
        shown = u_label(name)
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


@dataclass(frozen=True, slots=True)
class Recognition:
    """Who serves an address, and how that is known.

    provider:  as the organization sees it: its own entry where it has overridden the built-in one.
    row:       the domain that says so.
    is_hidden: the organization does not offer this provider to its people.
    """

    provider: Provider
    row: ProviderDomain
    is_hidden: bool

    def obstacle(self) -> str:
        """Why the address cannot be connected through this provider, as a sentence; else ""."""
        if self.is_hidden:
            return f"{self.provider} is not offered here: your administrators have hidden it. Ask one of them for it."
        return self.provider.obstacle()


def look_up(address: str, organization: Organization) -> Recognition | None:
    """Tell who serves the address, as far as the organization's domains and the shared catalog know.

    A domain counts exactly; names below it only where its row says so. The organization's own row wins over the
    shared one, and a longer name over a shorter one. One query, and one more where an own entry overrides.
    """
    domain = domain_of(address)
    if not domain:
        return None
    own_entry = Provider.objects.filter(organization=organization, key=OuterRef("provider__key"))
    rows = (
        ProviderDomain.objects.filter(Q(organization=organization) | Q(organization=None))
        .filter(Q(domain=domain) | Q(domain__in=_at_or_above(domain)[1:], covers_subdomains=True))
        .filter(provider__is_hidden=False)
        .annotate(own_entry=Subquery(own_entry.values("pk")[:1]))
        .annotate(is_hidden=Exists(HiddenProvider.hiding(organization, "provider__key")))
        .select_related("provider", "taught_by")
    )
    best = max(rows, key=lambda row: (row.organization_id is not None, len(row.domain)), default=None)
    if best is None:
        return None
    overridden = best.own_entry not in (None, best.provider_id)
    provider = Provider.objects.get(pk=best.own_entry) if overridden else best.provider
    return Recognition(provider, best, best.is_hidden)


def recognise(address: str, organization: Organization) -> Provider | None:
    """The provider that serves the address and is offered to the organization's people; see `look_up`."""
    found = look_up(address, organization)
    return found.provider if found is not None and not found.is_hidden else None


def _at_or_above(domain: str) -> list[str]:
    """The domain, then the names above it down to two labels."""
    labels = domain.split(".")
    return [domain, *(".".join(labels[start:]) for start in range(1, len(labels) - 1))]


def provider_at(host: str, organization: Organization | None = None) -> Provider | None:
    """The catalog's provider whose IMAP or SMTP host this is, for servers that a person typed."""
    name = host.strip().lower().removesuffix(".")
    shared = Provider.objects.filter(organization=None, is_hidden=False)
    known = Provider.objects.in_catalog_of(organization) if organization else shared
    at_host = known.filter(Q(imap_host=name) | Q(smtp_host=name))
    return at_host.order_by("-often_used", "pk").first() if name else None


def password_hosts(address: str, provider: Provider, organization: Organization) -> list[str]:
    """Where a password for `address` goes, where colleagues said so and not the shared catalog; else nothing.

    Worth showing before the password is typed: one colleague's lesson must not quietly send another's elsewhere.
    """
    names = _at_or_above(domain_of(address))
    taught = ProviderDomain.objects.filter(organization=organization, provider=provider, domain__in=names)
    if provider.organization_id is None and not taught.exists():
        return []
    return list(dict.fromkeys(filter(None, (provider.imap_host, provider.smtp_host))))


def learn(address: str, provider: Provider, user: User, now: datetime, request: HttpRequest | None = None) -> bool:
    """Teach the organization of `user` that the address's domain is served by `provider` (spec C5); True where it did.

    Call it after a connection worked. Anybody may teach what nobody knows yet. What the catalog says, or an earlier
    lesson, is overruled only by somebody with *manage email providers*: colleagues' passwords follow it. What was set
    without a lesson is never overruled from here. A provider that the organization hides is known all the same.
    """
    domain, organization = domain_of(address), user.organization
    known = _known(address, organization)
    if not domain or known == provider or (known is not None and not _may_overrule(user)):
        return False
    lesson = ProviderDomain.objects.filter(organization=organization, domain=domain).first()
    if lesson is None:
        try:
            with transaction.atomic():
                lesson = ProviderDomain.objects.create(
                    organization=organization, domain=domain, provider=provider, learned_at=now, taught_by=user
                )
        except IntegrityError:  # somebody else taught it in this moment
            return False
    elif lesson.learned_at is None or not _may_overrule(user):
        return False
    else:
        lesson.provider, lesson.learned_at, lesson.taught_by = provider, now, user
        lesson.save(update_fields=["provider", "learned_at", "taught_by"])
    _record(lesson, user, request, before=known)
    return True


def learn_servers(
    address: str,
    user: User,
    now: datetime,
    *,
    incoming: Endpoint | None,
    outgoing: Endpoint | None,
    imap_username: str = "",
    smtp_username: str = "",
    request: HttpRequest | None = None,
) -> Provider | None:
    """Remember servers that a person typed and that worked, as a provider of the organization (spec C5).

    None where neither server was typed, and where the domain is known already: then only somebody with *manage email
    providers* may replace an earlier lesson, and nobody what the catalog says.
    """
    domain, organization = domain_of(address), user.organization
    if not domain or not (incoming or outgoing):
        return None
    key, values = _learned_key(domain), _typed_values(address, incoming, outgoing, imap_username, smtp_username)
    known = _known(address, organization)
    lessons = ProviderDomain.objects.filter(organization=organization, domain=domain)
    try:
        with transaction.atomic():
            if known is None and not lessons.exists():
                # Fails where such a provider exists: it was hidden or its domain taken away, which stays so.
                provider = Provider.objects.create(organization=organization, key=key, **values)
                lesson = lessons.create(
                    organization=organization, domain=domain, provider=provider, learned_at=now, taught_by=user
                )
            elif _may_overrule(user) and lessons.exclude(learned_at=None).exists():
                provider, _ = Provider.objects.update_or_create(organization=organization, key=key, defaults=values)
                lessons.update(provider=provider, learned_at=now, taught_by=user)
                lesson = lessons.get()
            else:
                return None
    except IntegrityError:
        return None
    _record(lesson, user, request, before=known)
    return provider


def _known(address: str, organization: Organization) -> Provider | None:
    found = look_up(address, organization)
    return found.provider if found else None


def _may_overrule(user: User) -> bool:
    return user.may(Operation.MANAGE_EMAIL_PROVIDERS)


def _record(lesson: ProviderDomain, user: User, request: HttpRequest | None, *, before: Provider | None) -> None:
    provider = lesson.provider
    detail: dict[str, object] = {
        "domain": lesson.domain,
        "provider": provider.name,
        "imap_host": provider.imap_host,
        "smtp_host": provider.smtp_host,
        "before": before.name if before else "",
    }
    audit.record(
        "provider.learned", organization=user.organization, actor=user, target=lesson, detail=detail, request=request
    )


def _typed_values(
    address: str, incoming: Endpoint | None, outgoing: Endpoint | None, imap_username: str, smtp_username: str
) -> dict[str, Any]:
    """The columns of a provider for servers that a person typed."""
    values: dict[str, Any] = {"name": domain_of(address)[:LONGEST_NAME]}
    for side, server, username in (("imap", incoming, imap_username), ("smtp", outgoing, smtp_username)):
        if server is not None:
            values |= {
                f"{side}_host": server.host,
                f"{side}_port": server.port,
                f"{side}_security": server.security.value,
                f"{side}_login": login_rule(address, username),
            }
    return values


def _learned_key(domain: str) -> str:
    """A key of its own for each domain: my-firm.example and my.firm.example are not the same people."""
    return f"learned-{domain.replace('.', '-')[:50]}-{hashlib.sha256(domain.encode()).hexdigest()[:16]}"


def login_rule(address: str, username: str) -> LoginRule:
    """By which rule `username` was made from `address`; an empty user name means the whole address."""
    if not username or username.lower() == address.lower():
        return LoginRule.ADDRESS
    return LoginRule.LOCAL_PART if username.lower() == address.rpartition("@")[0].lower() else LoginRule.TYPED
