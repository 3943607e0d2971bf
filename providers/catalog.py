"""The built-in catalog: `providers/catalog/*.yaml` -> rows that every organization shares (spec C1, C3).

How an entry is written is explained in docs/adding-a-provider.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import idna
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import transaction

from protocols.endpoint import Security
from protocols.errors import DestinationRefused
from protocols.network import MAIL_PORTS, dns_name
from providers.catalog_files import CatalogError, Entry, digest, entries, refuse_doubles
from providers.models import SANDBOX_KEY, Authentication, CatalogVersion, LoginRule, Provider, ProviderDomain, Status

FOLDER = Path(__file__).parent / "catalog"
FIELDS = frozenset(
    {"key", "name", "often_used", "imap", "smtp", "authentication", "status", "hint", "instructions_url",
     "files_sent_mail", "limits", "domains"}
)  # fmt: skip
SERVER_FIELDS = frozenset({"host", "port", "security", "login"})
LIMITS = frozenset({"connections", "messages_per_connection", "per_minute", "per_day", "message_size"})
DEFAULT_PORT = {"imap": 993, "smtp": 465}
_KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class CatalogProvider:
    """One checked entry: the values of a Provider row, and its domains with whether names below them count."""

    values: dict[str, object]
    domains: dict[str, bool] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return str(self.values["key"])


def read_catalog(folder: Path = FOLDER) -> list[CatalogProvider]:
    """Read and check every file. Raises CatalogError that names the file and the entry."""
    found = list(entries(folder, label="key"))
    providers = [_provider(entry) for entry in found]
    refuse_doubles(found, lambda entry: entry.text("key"))
    places: dict[str, str] = {}
    for entry, provider in zip(found, providers, strict=True):
        for domain in provider.domains:
            if domain in places:
                raise entry.wrong(f"the domain {domain} stands already in {places[domain]}.")
            places[domain] = entry.place
    return providers


def load_catalog(folder: Path = FOLDER) -> bool:
    """Make the built-in rows equal to the files; False when the files have not changed since the last time.

    What left the files is hidden, not deleted: mailboxes may still name it.
    """
    state = digest(folder)
    if CatalogVersion.objects.filter(name="providers", digest=state).exists():
        return False
    providers = read_catalog(folder)
    with transaction.atomic():
        _write_providers(providers)
        _write_domains(providers)
        CatalogVersion.objects.update_or_create(name="providers", defaults={"digest": state})
    return True


def a_label(domain: str) -> str:
    """Return a domain in lower case and A-label form (RFC 5890), as it is stored. Raises ValueError."""
    try:
        return dns_name(domain)
    except DestinationRefused as exc:
        raise ValueError(str(exc)) from exc


def u_label(domain: str) -> str:
    """Return a stored domain as people write it ("xn--bcher-kva.example" -> "bücher.example"; RFC 5890)."""
    try:
        return idna.decode(domain) if "xn--" in domain else domain
    except UnicodeError:
        return domain


def _provider(entry: Entry) -> CatalogProvider:
    entry.allow_only(FIELDS)
    key = entry.text("key")
    if not _KEY.fullmatch(key) or len(key) > 80 or key == SANDBOX_KEY:
        raise entry.wrong(f"key must be lower-case words joined by hyphens, and not {SANDBOX_KEY!r}.")
    values: dict[str, object] = {
        "key": key,
        "name": entry.text("name"),
        "often_used": entry.flag("often_used"),
        "authentication": entry.choice("authentication", Authentication.values, Authentication.PASSWORD),
        "status": entry.choice("status", Status.values, Status.WORKS),
        "hint": entry.text("hint", ""),
        "instructions_url": _url(entry),
        "files_sent_mail": entry.flag("files_sent_mail"),
        "limits": _limits(entry),
        **_server(entry, "imap"),
        **_server(entry, "smtp"),
    }
    possible = values["status"] != Status.NOT_POSSIBLE
    if possible and not (values["imap_host"] or values["smtp_host"]):
        raise entry.wrong("needs imap or smtp, or status: not_possible.")
    if values["status"] != Status.WORKS and not values["hint"]:
        raise entry.wrong("needs a hint that says what to prepare, or why it is not possible.")
    return CatalogProvider(values, _domains(entry))


def _server(entry: Entry, protocol: str) -> dict[str, object]:
    given = entry.mapping(protocol)
    server = Entry(f"{entry.place}, {protocol}", given)
    server.allow_only(SERVER_FIELDS)
    port = given.get("port", DEFAULT_PORT[protocol])
    if not isinstance(port, int) or port not in MAIL_PORTS:
        raise server.wrong(f"port must be one of {', '.join(map(str, sorted(MAIL_PORTS)))}.")
    host = server.text("host") if given else ""
    try:
        host = a_label(host) if host else ""
    except ValueError as exc:
        raise server.wrong(f"host: {exc}") from exc
    return {
        f"{protocol}_host": host,
        f"{protocol}_port": port,
        f"{protocol}_security": server.choice("security", [security.value for security in Security], Security.TLS),
        f"{protocol}_login": server.choice("login", LoginRule.values, LoginRule.ADDRESS),
    }


def _limits(entry: Entry) -> dict[str, object]:
    limits = entry.mapping("limits")
    Entry(f"{entry.place}, limits", limits).allow_only(LIMITS)
    if not all(type(value) is int and value > 0 for value in limits.values()):
        raise entry.wrong("limits must be whole numbers above 0.")
    return dict(limits)


def _url(entry: Entry) -> str:
    url = entry.text("instructions_url", "")
    try:
        if url:
            URLValidator(schemes=["https"])(url)
    except ValidationError as exc:
        raise entry.wrong("instructions_url must be an https address.") from exc
    return url


def _domains(entry: Entry) -> dict[str, bool]:
    domains: dict[str, bool] = {}
    for text in entry.texts("domains"):
        try:
            domain = a_label(text.removeprefix("*."))
        except ValueError as exc:
            raise entry.wrong(f"domains: {exc}") from exc
        if "." not in domain:
            raise entry.wrong(f"domains: {text!r} has no dot.")
        if domain in domains:
            raise entry.wrong(f"domains: {domain} stands there twice.")
        domains[domain] = text.startswith("*.")
    return domains


def _write_providers(providers: list[CatalogProvider]) -> None:
    stored = {row.key: row for row in Provider.objects.filter(organization=None).exclude(key=SANDBOX_KEY)}
    written = sorted(providers[0].values) if providers else []
    new, changed = [], []
    for provider in providers:
        row = stored.get(provider.key)
        if row is None:
            new.append(Provider(**provider.values))
            continue
        for name, value in provider.values.items():
            setattr(row, name, value)
        row.is_hidden = False
        changed.append(row)
    Provider.objects.bulk_create(new, batch_size=200)
    Provider.objects.bulk_update(changed, [name for name in (*written, "is_hidden") if name != "key"], batch_size=40)
    kept = {provider.key for provider in providers}
    gone = [row.pk for key, row in stored.items() if key not in kept]
    Provider.objects.filter(pk__in=gone).update(is_hidden=True)


def _write_domains(providers: list[CatalogProvider]) -> None:
    keys = dict(Provider.objects.filter(organization=None).values_list("key", "pk"))
    wanted = {
        domain: (keys[provider.key], covers) for provider in providers for domain, covers in provider.domains.items()
    }
    built_in = ProviderDomain.objects.filter(organization=None).exclude(provider__key=SANDBOX_KEY)
    stored = {row.domain: row for row in built_in}
    right = {name for name, row in stored.items() if wanted.get(name) == (row.provider_id, row.covers_subdomains)}
    built_in.filter(pk__in=[row.pk for name, row in stored.items() if name not in right]).delete()
    missing = [
        ProviderDomain(domain=name, provider_id=provider_pk, covers_subdomains=covers)
        for name, (provider_pk, covers) in wanted.items()
        if name not in right
    ]
    ProviderDomain.objects.bulk_create(missing, batch_size=500)


__all__ = ["FOLDER", "CatalogError", "CatalogProvider", "a_label", "load_catalog", "read_catalog"]
