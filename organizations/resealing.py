"""Moves stored secrets to the current key, row by row, while everything runs (spec J1).

Each row changes in one conditional statement: at any stop it holds the old token or the new one, and both open as long
as both keys are in the ring. What is done already is skipped, so that a second run goes on where the first one ended.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from django.apps import apps
from django.db import models

from organizations.faultpoints import faultpoint
from organizations.sealing import SealedField, Unopenable, key_id, keyring, new_key, seal, unseal

ROWS_AT_ONCE = 500


@dataclass
class Resealed:
    """What a run met. `unopenable` names rows, never what is in them."""

    moved: int = 0
    current: int = 0
    unopenable: list[str] = field(default_factory=list)


def sealed_fields() -> Iterator[tuple[type[models.Model], SealedField]]:
    """Every secret column of the product."""
    for model in apps.get_models():
        for column in model._meta.concrete_fields:
            if isinstance(column, SealedField):
                yield model, column


def reseal_all() -> Resealed:
    """Seal anew what another key than the current one sealed. Safe to stop at any point, and to run again."""
    result = Resealed()
    for model, column in sealed_fields():
        for pk, seal_id, token in _tokens(model, column):
            _reseal(model, column, pk, seal_id, token, result)
    return result


def keys_in_use() -> Counter[str]:
    """How many stored secrets each key sealed; what is no token counts as "damaged"."""
    return Counter(_key_of(token) for model, column in sealed_fields() for _, _, token in _tokens(model, column))


def begin_with_new_key(file: Path, name: str) -> None:
    """Put a fresh key first into a file of keys, in one step and readable to its owner only. The others stay."""
    text = f"{new_key(name)},{file.read_text().strip()}"
    fresh = file.with_name(f".{file.name}.new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)


def _key_of(token: bytes) -> str:
    try:
        return key_id(token)
    except Unopenable:
        return "damaged"


def _tokens(model: type[models.Model], column: SealedField) -> Iterator[tuple[int, object, bytes]]:
    """Yield (primary key, seal id, token) of each row that holds a secret, by ascending key."""
    last = 0
    while True:
        rows = model._default_manager.filter(pk__gt=last).order_by("pk").values_list("pk", "seal_id", column.attname)
        batch = list(rows[:ROWS_AT_ONCE])
        if not batch:
            return
        last = batch[-1][0]
        yield from ((pk, seal_id, bytes(token)) for pk, seal_id, token in batch if token)


def _reseal(
    model: type[models.Model], column: SealedField, pk: int, seal_id: object, token: bytes, result: Resealed
) -> None:
    context = column.context(model(seal_id=seal_id))
    try:
        if key_id(token) == keyring().current:
            result.current += 1
            return
        fresh = seal(unseal(token, context).reveal(), context)
    except Unopenable:
        result.unopenable.append(f"{model._meta.verbose_name} {pk}")
        return
    faultpoint("secret sealed anew")
    # A password typed meanwhile is sealed with the current key already, and wins.
    result.moved += model._default_manager.filter(pk=pk, **{column.attname: token}).update(**{column.attname: fresh})
    faultpoint("row changed")
