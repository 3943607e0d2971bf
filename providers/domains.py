"""Which domains the organization knows: built in, learned, or set by hand (spec C3, C5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest

from organizations import audit
from organizations.models import Organization, User
from providers.models import HiddenProvider, Provider, ProviderDomain

PAGE_SIZE: Final = 60


@dataclass(frozen=True, slots=True)
class DomainPage:
    """Some rows in the order of their names, each with `provider_name`, `entry_pk` (the organization's own entry where
    it has overridden the built-in one) and `is_hidden`; `next` names the last one where more follow, else ""."""

    rows: Sequence[ProviderDomain]
    next: str = ""


class DomainTaken(Exception):
    """The organization has a row for this domain already; `row` is the one."""

    def __init__(self, row: ProviderDomain) -> None:
        super().__init__(row.domain)
        self.row = row


def counting(rows: QuerySet[ProviderDomain], organization: Organization) -> QuerySet[ProviderDomain]:
    """Those that decide in the organization: its own, and the built-in ones that it has not overruled."""
    own = ProviderDomain.objects.filter(organization=organization, domain=OuterRef("domain"))
    return rows.filter(Q(organization=organization) | Q(~Exists(own), organization=None), provider__is_hidden=False)


def page(organization: Organization, *, text: str = "", origin: str = "", after: str = "") -> DomainPage:
    """The domains that count and whose name, or whose provider's name, holds `text`; from the one behind `after` on.

    origin: "built_in", "learned", "own", or "" for all.
    """
    own_entry = Provider.objects.filter(organization=organization, key=OuterRef("provider__key"))
    rows = counting(ProviderDomain.objects.all(), organization).annotate(
        entry_name=Subquery(own_entry.values("name")[:1]),
        entry_pk=Subquery(own_entry.values("pk")[:1]),
        is_hidden=Exists(HiddenProvider.hiding(organization, "provider__key")),
    )
    if text:
        rows = rows.filter(
            Q(domain__icontains=text) | Q(provider__name__icontains=text) | Q(entry_name__icontains=text)
        )
    if origin == "built_in":
        rows = rows.filter(organization=None)
    elif origin:
        rows = rows.filter(organization=organization, learned_at__isnull=origin != "learned")
    if after:
        rows = rows.filter(domain__gt=after)
    found = list(rows.select_related("provider", "taught_by").order_by("domain")[: PAGE_SIZE + 1])
    return DomainPage(found[:PAGE_SIZE], found[PAGE_SIZE - 1].domain if len(found) > PAGE_SIZE else "")


def keep(row: ProviderDomain, user: User, request: HttpRequest | None = None) -> ProviderDomain:
    """Store an own row, new or changed. Set by hand it is no lesson any more, so that no connection overrules it.

    Raises DomainTaken where another row of the organization has the domain.
    """
    assert row.organization_id == user.organization_id
    before = ProviderDomain.objects.select_related("provider").filter(pk=row.pk).first() if row.pk else None
    row.learned_at = row.taught_by = None
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as exc:
        others = ProviderDomain.objects.filter(organization=user.organization, domain=row.domain).exclude(pk=row.pk)
        other = others.select_related("provider").first()
        if other is None:
            raise
        raise DomainTaken(other) from exc
    detail: dict[str, object] = {"after": _words(row)}
    if before is not None:
        detail["before"] = _words(before)
    _record("provider_domain.changed" if before else "provider_domain.created", row, user, request, detail)
    return row


def remove(row: ProviderDomain, user: User, request: HttpRequest | None = None) -> None:
    """Forget an own or learned row; what the shared catalog says counts again."""
    with transaction.atomic():
        _record("provider_domain.deleted", row, user, request, {"before": _words(row)})
        row.delete()


def _words(row: ProviderDomain) -> dict[str, object]:
    return {"domain": row.domain, "provider": row.provider.name, "covers_subdomains": row.covers_subdomains}


def _record(
    action: str, row: ProviderDomain, user: User, request: HttpRequest | None, detail: dict[str, object]
) -> None:
    audit.record(action, organization=user.organization, actor=user, target=row, detail=detail, request=request)
