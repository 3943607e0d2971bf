"""The built-in diagnosis rules: `mailservers/rules/*.yaml` -> rows (spec D2)."""

from __future__ import annotations

from pathlib import Path

from django.db import transaction

from mailservers import patterns
from mailservers.failures import KINDS
from mailservers.models import DiagnosisRule
from protocols.diagnosis import Retry, Who
from protocols.endpoint import Protocol, Security
from protocols.steps import StepName
from providers.catalog import read_catalog
from providers.catalog_files import Entry, digest, entries, refuse_doubles
from providers.models import CatalogVersion

FOLDER = Path(__file__).parent / "rules"
FIELDS = frozenset(
    {"code", "rank", "providers", "protocol", "step", "kind", "ports", "security", "pattern", "title", "causes",
     "retry"}
)  # fmt: skip
CAUSE_FIELDS = frozenset({"cause", "cure", "who", "field", "link"})
PROVIDER_RANK, GENERAL_RANK, FALLBACK_RANK = 50, 100, 900


def read_rules(folder: Path = FOLDER) -> list[dict[str, object]]:
    """Read and check every file. Raises CatalogError that names the file and the entry."""
    found = list(entries(folder, label="code"))
    refuse_doubles(found, lambda entry: entry.text("code"))
    known = {provider.key for provider in read_catalog()}
    return [_rule(entry, known) for entry in found]


def load_rules(folder: Path = FOLDER) -> bool:
    """Make the built-in rules equal to the files; False when the files have not changed since the last time."""
    state = digest(folder)
    if CatalogVersion.objects.filter(name="rules", digest=state).exists():
        return False
    rules = read_rules(folder)
    with transaction.atomic():
        DiagnosisRule.objects.filter(organization=None).delete()
        DiagnosisRule.objects.bulk_create([DiagnosisRule(**rule) for rule in rules])
        CatalogVersion.objects.update_or_create(name="rules", defaults={"digest": state})
    return True


def _rule(entry: Entry, known_providers: set[str]) -> dict[str, object]:
    entry.allow_only(FIELDS)
    pattern, providers = entry.text("pattern", ""), entry.texts("providers")
    if problem := patterns.problem_of(pattern):
        raise entry.wrong(problem)
    if unknown := [key for key in providers if key not in known_providers]:
        raise entry.wrong(f"the catalog has no provider {unknown[0]!r}.")
    ports = entry.values.get("ports", [])
    if not isinstance(ports, list) or not all(isinstance(port, int) for port in ports):
        raise entry.wrong("ports must be a list of numbers.")
    values: dict[str, object] = {
        "code": entry.text("code"),
        "providers": providers,
        "protocol": entry.choice("protocol", ["", *Protocol], ""),
        "step": entry.choice("step", ["", *StepName], ""),
        "kind": entry.choice("kind", ["", *KINDS], ""),
        "ports": ports,
        "security": entry.choice("security", ["", *Security], ""),
        "pattern": pattern,
        "title": entry.text("title"),
        "retry": entry.choice("retry", [retry.value for retry in Retry], ""),
        "causes": _causes(entry),
    }
    rank = entry.values.get("rank", _usual_rank(values))
    if not isinstance(rank, int):
        raise entry.wrong("rank must be a number.")
    return {**values, "rank": rank}


def _usual_rank(values: dict[str, object]) -> int:
    """A provider's own rules first, then what the server said or where it happened, then what is true of the kind."""
    if values["providers"]:
        return PROVIDER_RANK if values["pattern"] else PROVIDER_RANK + 10
    special = str(values["kind"]).startswith("certificate_") and values["kind"] != "certificate_refused"
    return GENERAL_RANK if values["pattern"] or values["step"] or special else FALLBACK_RANK


def _causes(entry: Entry) -> list[dict[str, str]]:
    causes = entry.values.get("causes")
    if not isinstance(causes, list):
        raise entry.wrong("causes must be a list.")
    checked = []
    for number, values in enumerate(causes, start=1):
        if not isinstance(values, dict):
            raise entry.wrong(f"cause {number} must be a mapping.")
        cause = Entry(f"{entry.place}, cause {number}", values)
        cause.allow_only(CAUSE_FIELDS)
        link = cause.text("link", "")
        if link and not link.startswith(("https://", "{")):
            raise cause.wrong("link must begin with https://.")
        checked.append(
            {
                "cause": cause.text("cause"),
                "cure": cause.text("cure"),
                "who": cause.choice("who", list(Who), ""),
                "field": cause.text("field", ""),
                "link": link,
            }
        )
    return checked
