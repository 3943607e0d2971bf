"""The list of email providers: search, filters, and one page at a time (spec C2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Lower

from organizations.models import Organization
from providers import domains
from providers.catalog import a_label
from providers.models import HiddenProvider, Provider, ProviderDomain

PAGE_SIZE: Final = 60

Show = Literal["", "own", "built_in", "hidden"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list. `domains` and `mailboxes` count what the organization has of it."""

    provider: Provider
    is_hidden: bool
    is_override: bool
    domains: int
    mailboxes: int


@dataclass(frozen=True, slots=True)
class ProviderPage:
    """Some lines by name; `next` is the key of the last one where more follow, else 0."""

    rows: list[Row]
    next: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """text: part of a name, a domain or a host, or a whole address."""

    text: str = ""
    status: str = ""
    authentication: str = ""
    show: Show = ""


def page(organization: Organization, wanted: Wanted, after: int = 0) -> ProviderPage:
    """The lines that follow the entry `after`; the same number of queries however many there are."""
    rows = _filtered(organization, wanted).annotate(
        sort_name=Lower("name"),
        withheld=Exists(HiddenProvider.hiding(organization, "key")),
        overrides=Exists(Provider.objects.filter(organization=None, key=OuterRef("key")).exclude(pk=OuterRef("pk"))),
    )
    last = Provider.objects.filter(pk=after).values_list(Lower("name"), flat=True).first() if after else None
    if last is not None:
        rows = rows.filter(Q(sort_name__gt=Value(last)) | Q(sort_name=Value(last), pk__gt=after))
    found = list(rows.order_by("sort_name", "pk")[: PAGE_SIZE + 1])
    shown = found[:PAGE_SIZE]
    domain_counts, mailbox_counts = _domain_counts(shown, organization), mailbox_counts_of(shown, organization)
    return ProviderPage(
        [
            Row(each, each.withheld, each.overrides, domain_counts.get(each.key, 0), mailbox_counts.get(each.pk, 0))
            for each in shown
        ],
        shown[-1].pk if len(found) > PAGE_SIZE else 0,
    )


def mailbox_counts_of(providers: Sequence[Provider], organization: Organization) -> dict[int, int]:
    """How many mailboxes of the organization each entry serves, by the entry's key in the database."""
    counted = Provider.objects.filter(pk__in=[each.pk for each in providers]).annotate(
        number=Count("mailboxes", filter=Q(mailboxes__organization=organization))
    )
    return dict(counted.order_by().values_list("pk", "number"))


def _domain_counts(providers: Sequence[Provider], organization: Organization) -> dict[str, int]:
    rows = ProviderDomain.objects.filter(provider__key__in=[each.key for each in providers])
    counted = domains.counting(rows, organization).values("provider__key").annotate(number=Count("pk"))
    return dict(counted.order_by().values_list("provider__key", "number"))


def _filtered(organization: Organization, wanted: Wanted) -> QuerySet[Provider]:
    rows = Provider.objects.in_catalog_of(organization)
    if wanted.status:
        rows = rows.filter(status=wanted.status)
    if wanted.authentication:
        rows = rows.filter(authentication=wanted.authentication)
    if wanted.show == "own":
        rows = rows.filter(organization=organization)
    elif wanted.show == "built_in":
        rows = rows.filter(organization=None)
    elif wanted.show == "hidden":
        rows = rows.filter(Exists(HiddenProvider.hiding(organization, "key")))
    return rows.filter(_matching(organization, wanted.text)) if wanted.text else rows


def _matching(organization: Organization, text: str) -> Q:
    name = _as_stored(text)
    of_it = ProviderDomain.objects.filter(Q(organization=None) | Q(organization=organization))
    with_domain = of_it.filter(provider__key=OuterRef("key"), domain__icontains=name)
    return (
        Q(name__icontains=text) | Q(imap_host__icontains=name) | Q(smtp_host__icontains=name) | Q(Exists(with_domain))
    )


def _as_stored(text: str) -> str:
    """Domains and hosts are stored as A-labels; of an address only the domain counts."""
    domain = text.rpartition("@")[2] or text
    try:
        return a_label(domain)
    except ValueError:
        return domain.lower()
