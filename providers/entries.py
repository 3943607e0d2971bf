"""An organization's own entries of the catalog: add, override a built-in one, give it back, delete, hide (spec C2, B3).

Pages and API come through here. A built-in entry is never changed; an own one with its key takes its place.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import ForeignKey, ManyToOneRel
from django.http import HttpRequest

from organizations import audit
from organizations.models import Organization, User
from providers import logos
from providers.models import HiddenProvider, Provider

#: What a person decides about an entry; the logo is told apart.
FIELDS: Final = (
    "name", "often_used", "imap_host", "imap_port", "imap_security", "imap_login",
    "smtp_host", "smtp_port", "smtp_security", "smtp_login", "smtp_timeout",
    "authentication", "status", "hint", "instructions_url", "files_sent_mail", "limits",
)  # fmt: skip
_NEW_KEY = re.compile(r"own_[0-9a-f]{16}", re.ASCII)  # no file of the catalog may have such a key: it has no _
_ANY_KEY = re.compile(r"[a-z0-9_-]{1,80}", re.ASCII)


class TakenMeanwhile(Exception):
    """Another request has stored an entry with this key at the same moment."""


def new_key() -> str:
    """The key of an entry that is about to be typed. It travels with the form, so that two presses make one entry."""
    return f"own_{secrets.token_hex(8)}"


def is_key(text: str) -> bool:
    """Whether an entry may have this key, built in or own."""
    return _ANY_KEY.fullmatch(text) is not None


def is_new_key(text: str) -> bool:
    return _NEW_KEY.fullmatch(text) is not None


def built_in_of(entry: Provider) -> Provider | None:
    """The built-in entry that an own one takes the place of; None where there is none (any more)."""
    return Provider.objects.filter(organization=None, key=entry.key, is_hidden=False).exclude(pk=entry.pk).first()


def own_copy(built_in: Provider, organization: Organization) -> Provider:
    """An unsaved own entry that says what the built-in one says."""
    copy = Provider(organization=organization, key=built_in.key, kind=built_in.kind)
    for name in FIELDS:
        setattr(copy, name, getattr(built_in, name))
    return copy


def own_entry(entry: Provider, organization: Organization) -> Provider:
    """`entry` itself where it is the organization's own; else the own one in its place, unsaved where there is none."""
    if not entry.is_built_in:
        return entry
    return Provider.objects.filter(organization=organization, key=entry.key).first() or own_copy(entry, organization)


def keep(
    entry: Provider,
    user: User,
    *,
    logo: bytes | None = None,
    drops_logo: bool = False,
    request: HttpRequest | None = None,
) -> Provider:
    """Store an own entry of the user's organization, new or changed.

    logo: made by `logos.encode`; None keeps what there is, unless `drops_logo`.
    Whatever of the organization named the built-in entry names its own one from the first time on.
    Raises TakenMeanwhile where a new entry's key is taken.
    """
    assert entry.organization_id == user.organization_id
    stored = Provider.objects.filter(pk=entry.pk).first() if entry.pk else None
    built_in = built_in_of(entry)
    before = stored or built_in
    try:
        with transaction.atomic():
            entry.save()
            if stored is None and built_in is not None:
                _name_instead(built_in, entry, user.organization)
            if logo is not None:
                logos.keep(entry, logo)
            elif drops_logo and entry.logo_digest:
                logos.remove(entry)
            action = "changed" if stored else "overridden" if built_in else "created"
            _record(f"provider.{action}", entry, user, request, _changes(before, entry, logo, drops_logo=drops_logo))
    except IntegrityError as exc:
        if stored is None and Provider.objects.filter(organization=user.organization, key=entry.key).exists():
            raise TakenMeanwhile from exc
        raise
    return entry


def restore(entry: Provider, built_in: Provider, user: User, request: HttpRequest | None = None) -> None:
    """Go back to the built-in entry: who named the own one names it again, then the own one goes."""
    with transaction.atomic():
        _name_instead(entry, built_in, user.organization)
        _record("provider.restored", entry, user, request, _changes(entry, built_in))
        entry.delete()


def delete(entry: Provider, user: User, request: HttpRequest | None = None) -> None:
    """Remove an own entry with its domains. Mailboxes keep their servers and lose only the entry's name and hints."""
    domains: list[object] = list(entry.domains.values_list("domain", flat=True))
    with transaction.atomic():
        HiddenProvider.objects.filter(organization=user.organization, key=entry.key).delete()
        _record("provider.deleted", entry, user, request, {"domains": domains})
        entry.delete()


def hide(entry: Provider, user: User, request: HttpRequest | None = None) -> bool:
    """Stop offering the entry to the organization's people; False where it was hidden already. Mailboxes stay."""
    with transaction.atomic():
        _, is_new = HiddenProvider.objects.get_or_create(
            organization=user.organization, key=entry.key, defaults={"hidden_by": user}
        )
        if is_new:
            _record("provider.hidden", entry, user, request, {})
    return is_new


def show(entry: Provider, user: User, request: HttpRequest | None = None) -> bool:
    """Offer a hidden entry again; False where it was not hidden."""
    with transaction.atomic():
        number, _ = HiddenProvider.objects.filter(organization=user.organization, key=entry.key).delete()
        if number:
            _record("provider.shown", entry, user, request, {})
    return number > 0


def _name_instead(old: Provider, new: Provider, organization: Organization) -> None:
    """Let every row of the organization that names `old` name `new`: mailboxes, mail servers, domains."""
    for relation in Provider._meta.get_fields(include_hidden=True):
        if not isinstance(relation, ManyToOneRel) or not isinstance(relation.field, ForeignKey):
            continue
        named = relation.related_model
        if any(field.name == "organization" for field in named._meta.get_fields()):
            rows = named._base_manager.filter(**{relation.field.name: old, "organization": organization})
            rows.update(**{relation.field.name: new})


def _changes(
    before: Provider | None, after: Provider, logo: bytes | None = None, *, drops_logo: bool = False
) -> Mapping[str, object]:
    names = [name for name in FIELDS if before is None or getattr(before, name) != getattr(after, name)]
    changes: dict[str, object] = {"after": {name: getattr(after, name) for name in names}}
    if before is not None:
        changes["before"] = {name: getattr(before, name) for name in names}
    if logo is not None or drops_logo:
        changes["logo"] = "removed" if logo is None else "changed"
    return changes


def _record(
    action: str, entry: Provider, user: User, request: HttpRequest | None, detail: Mapping[str, object]
) -> None:
    audit.record(action, organization=user.organization, actor=user, target=entry, detail=dict(detail), request=request)
