"""Reading a folder of YAML files that holds built-in facts: entries with the place they stand, and their digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml reads ten times faster where it was built in


class CatalogError(ValueError):
    """A catalog file is wrong; the message names the file, the entry and what to write instead."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a file. `place` reads "europe.yaml, entry 12 (one-com)"."""

    place: str
    values: Mapping[str, object]

    def wrong(self, problem: str) -> CatalogError:
        return CatalogError(f"{self.place}: {problem}")

    def allow_only(self, names: frozenset[str]) -> None:
        if unknown := sorted(map(str, self.values.keys() - names)):
            raise self.wrong(f"unknown field {unknown[0]!r}; known are {', '.join(sorted(names))}.")

    def text(self, name: str, default: str | None = None) -> str:
        value = self.values.get(name, default)
        if not isinstance(value, str) or (default is None and not value):
            raise self.wrong(f"{name} must be a text.")
        return value.strip()

    def flag(self, name: str) -> bool:
        value = self.values.get(name, False)
        if not isinstance(value, bool):
            raise self.wrong(f"{name} must be true or false.")
        return value

    def mapping(self, name: str) -> Mapping[str, object]:
        value = self.values.get(name, {})
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise self.wrong(f"{name} must be a mapping.")
        return value

    def texts(self, name: str) -> list[str]:
        value = self.values.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(f"{name} must be a list of texts.")
        return value

    def choice(self, name: str, allowed: Mapping[str, object] | list[str], default: str) -> str:
        value = self.values.get(name, default)
        if value not in allowed:
            raise self.wrong(f"{name} is {value!r}; allowed are {', '.join(allowed)}.")
        return str(value)


def digest(folder: Path) -> str:
    """SHA-256 over names and octets of the folder's YAML files."""
    total = hashlib.sha256()
    for path in sorted(folder.glob("*.yaml")):
        total.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def entries(folder: Path, *, label: str) -> Iterator[Entry]:
    """Yield every entry of the folder, in the order of file names. `label` names the field that an entry goes by.

    Raises CatalogError for a file that is not a list of mappings.
    """
    for path in sorted(folder.glob("*.yaml")):
        try:
            content = yaml.load(path.read_text("utf-8"), LOADER)  # noqa: S506 - a safe loader, only the fast one
        except yaml.YAMLError as exc:
            raise CatalogError(f"{path.name}: this is not YAML: {exc}") from exc
        if not isinstance(content, list):
            raise CatalogError(f"{path.name}: the file must be a list of entries, each beginning with “- {label}:”.")
        for number, values in enumerate(content, start=1):
            if not isinstance(values, dict):
                raise CatalogError(f"{path.name}, entry {number}: an entry must be a mapping.")
            yield Entry(f"{path.name}, entry {number} ({values.get(label, 'unnamed')})", values)


def refuse_doubles(found: list[Entry], name_of: Callable[[Entry], str]) -> None:
    """Raise CatalogError when two entries go by the same name."""
    places: dict[str, str] = {}
    for entry in found:
        name = name_of(entry)
        if name in places:
            raise entry.wrong(f"{name!r} stands already in {places[name]}.")
        places[name] = entry.place
