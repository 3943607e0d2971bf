"""Secrets at rest: AES-256-GCM, a key id in every token, and the row's identity as associated data (spec J1, T8).

A token is `1 | key id length | key id | nonce (12) | ciphertext and tag`. The associated data names table, row and
field, so that a token copied into another row, or another column, does not open.
"""

from __future__ import annotations

import base64
import os
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self, overload

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models

from protocols.credentials import Secret

VERSION = 1
NONCE_SIZE = 12
KEY_SIZE = 32


class Unopenable(Exception):
    """A stored secret does not open: its key is missing, or the token belongs to another row."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys by id. `current` seals; all open."""

    keys: dict[str, bytes]
    current: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "id:base64,id:base64"; the first is current. Raises ImproperlyConfigured when a key is not 32 octets."""
        keys: dict[str, bytes] = {}
        for entry in filter(None, (part.strip() for part in text.replace("\n", ",").split(","))):
            name, _, encoded = entry.partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
            except ValueError:
                key = b""
            if not name or len(key) != KEY_SIZE:
                raise ImproperlyConfigured(
                    "EMAILSETTINGS_ENCRYPTION_KEYS: each entry must read id:base64 of 32 random octets. "
                    "Make one with: manage.py make_key"
                )
            keys[name] = key
        if not keys:
            raise ImproperlyConfigured("EMAILSETTINGS_ENCRYPTION_KEYS is empty; stored passwords need a key.")
        return cls(keys, current=next(iter(keys)))


@lru_cache(maxsize=4)
def _parsed(text: str) -> Keyring:
    return Keyring.parse(text)


@lru_cache(maxsize=4)
def _read(file: str, changed_ns: int) -> Keyring:
    return Keyring.parse(Path(file).read_text())


def keyring() -> Keyring:
    """The keys as they are now: a file of keys is read anew when it changed, so that rotating needs no restart."""
    if file := settings.ENCRYPTION_KEYS_FILE:
        return _read(file, os.stat(file).st_mtime_ns)
    return _parsed(settings.ENCRYPTION_KEYS)


def is_key_name(name: str) -> bool:
    """Whether `name` may stand before the colon of an entry."""
    return re.fullmatch(r"[A-Za-z0-9-]{1,40}", name) is not None


def new_key(name: str) -> str:
    """A fresh entry for EMAILSETTINGS_ENCRYPTION_KEYS."""
    return f"{name}:{base64.b64encode(os.urandom(KEY_SIZE)).decode()}"


def seal(text: str, context: str) -> bytes:
    ring = keyring()
    name, nonce = ring.current.encode(), os.urandom(NONCE_SIZE)
    body = AESGCM(ring.keys[ring.current]).encrypt(nonce, text.encode(), context.encode())
    return bytes([VERSION, len(name)]) + name + nonce + body


def unseal(token: bytes, context: str) -> Secret:
    """Open a token. Raises Unopenable."""
    ring, name = keyring(), key_id(token)
    if name not in ring.keys:
        raise Unopenable(f"The key {name!r} that sealed this secret is not in EMAILSETTINGS_ENCRYPTION_KEYS.")
    body = token[2 + len(name.encode()) :]
    try:
        opened = AESGCM(ring.keys[name]).decrypt(body[:NONCE_SIZE], body[NONCE_SIZE:], context.encode())
    except InvalidTag as exc:
        raise Unopenable("A stored secret does not belong to its row, or was damaged.") from exc
    return Secret(opened.decode())


def key_id(token: bytes) -> str:
    """Which key sealed the token. Raises Unopenable for anything that is not a token."""
    if len(token) < 2 + NONCE_SIZE or token[0] != VERSION:
        raise Unopenable("A stored secret is damaged.")
    return token[2 : 2 + token[1]].decode(errors="replace")


class SealedField(models.BinaryField):  # type: ignore[type-arg]
    """A secret column. Reading gives a `Secret` (empty when nothing is stored); assigning takes a `Secret`.

    The row needs a `seal_id` (see `SealedModel`), which is part of the associated data.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("default", b"")
        kwargs.setdefault("blank", True)
        kwargs["editable"] = False
        super().__init__(*args, **kwargs)

    def contribute_to_class(self, cls: type[models.Model], name: str, private_only: bool = False) -> None:
        super().contribute_to_class(cls, name, private_only)
        setattr(cls, name, _SealedAttribute(self))

    def context(self, instance: models.Model) -> str:
        return f"{self.model._meta.db_table}:{instance.seal_id}:{self.name}"  # type: ignore[attr-defined]

    def pre_save(self, model_instance: models.Model, add: bool) -> bytes:
        return bytes(model_instance.__dict__.get(self.attname) or b"")

    def value_to_string(self, obj: models.Model) -> str:
        """Serialised fixtures never carry secrets, sealed or not."""
        return ""


class _SealedAttribute:
    def __init__(self, field: SealedField) -> None:
        self.field = field

    @overload
    def __get__(self, instance: None, owner: type[models.Model]) -> Self: ...
    @overload
    def __get__(self, instance: models.Model, owner: type[models.Model]) -> Secret: ...
    def __get__(self, instance: models.Model | None, owner: type[models.Model]) -> Self | Secret:
        if instance is None:
            return self
        if self.field.attname not in instance.__dict__:  # deferred
            instance.refresh_from_db(fields=[self.field.attname])
        token = bytes(instance.__dict__[self.field.attname] or b"")
        return unseal(token, self.field.context(instance)) if token else Secret("")

    def __set__(self, instance: models.Model, value: Secret | bytes | memoryview | None) -> None:
        if isinstance(value, Secret):
            value = seal(value.reveal(), self.field.context(instance)) if value else b""
        elif isinstance(value, str):
            raise TypeError(f"{self.field.name} takes a Secret, so that it cannot be printed by accident.")
        instance.__dict__[self.field.attname] = value


class SealedModel(models.Model):
    """A row that keeps secrets. `seal_id` is known before the first save, unlike the primary key."""

    seal_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)

    class Meta:
        abstract = True

    def refresh_from_db(
        self,
        using: str | None = None,
        fields: Iterable[str] | None = None,
        from_queryset: models.QuerySet[Self] | None = None,
    ) -> None:
        """Copy sealed columns as they lie: Django would open and seal them, which fails where the key is lost."""
        sealed = {field.attname for field in self._meta.concrete_fields if isinstance(field, SealedField)}
        asked = set(fields) if fields is not None else None
        rows = from_queryset if from_queryset is not None else type(self)._base_manager.using(using or self._state.db)
        wanted = sealed - self.get_deferred_fields() if asked is None else sealed & asked
        if asked is None or asked - sealed:
            plain = None if asked is None else asked - sealed
            super().refresh_from_db(using=using, fields=plain, from_queryset=rows.defer(*sealed))
        if wanted:
            self.__dict__.update(rows.filter(pk=self.pk).values(*wanted).get())
