"""API tokens: made once, shown once, known by their hash (spec L1).

A token reads `ems_` and 43 characters (256 random bits in the alphabet of RFC 4648, 5), so that scanners for leaked
secrets recognise it. It acts as its user, never more; it ends with its expiry, when it is revoked, and while the user
is switched off.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from organizations import audit
from organizations.models import ApiToken, User
from organizations.prepared import prepared
from organizations.scopes import Scope
from organizations.token_hash import hash_of

PREFIX: Final = "ems_"
SHOWN: Final = 8  # characters that people still see later
USE_NOTED_EVERY: Final = timedelta(minutes=1)
LOOKS_LIKE_ONE: Final = re.compile(r"ems_[A-Za-z0-9_-]{43}", re.ASCII)


def make_token(
    user: User,
    name: str,
    scopes: Iterable[Scope],
    *,
    now: datetime,
    expires_at: datetime | None,
    only_mailboxes: bool = False,
    request: HttpRequest | None = None,
) -> tuple[ApiToken, str]:
    """Return the row and the token itself, which is stored nowhere."""
    text = PREFIX + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user,
        name=name,
        scopes=sorted(scopes),
        token_hash=hash_of(text),
        prefix=text[:SHOWN],
        only_mailboxes=only_mailboxes,
        created_at=now,
        expires_at=expires_at,
    )
    detail: dict[str, object] = {
        "scopes": token.scopes,
        "expires_at": expires_at.isoformat() if expires_at else None,
        "only_mailboxes": only_mailboxes,
    }
    audit.record(
        "token.created", organization=user.organization, actor=user, target=token, detail=detail, request=request
    )
    return token, text


def open_token(text: str, now: datetime) -> ApiToken | None:
    """Return the usable token with its user and organization, None for any other text; one query.

    Looked up by its hash, so how long it takes tells nothing about the tokens that exist.
    """
    if not LOOKS_LIKE_ONE.fullmatch(text):
        return None
    digest = hash_of(text)
    found = next(iter(_usable(digest, now)), None)
    return found if found is not None and hmac.compare_digest(found.token_hash, digest) else None


@prepared
def _usable(digest: str, now: datetime) -> QuerySet[ApiToken]:
    known = ApiToken.objects.usable_at(now).filter(token_hash=digest).select_related("user__organization")
    return known.order_by()  # one at most, so it need not be sorted


def note_use(token: ApiToken, now: datetime) -> None:
    """Remember when it was used last, to the minute: not every call shall write."""
    if token.last_used_at is None or token.last_used_at <= now - USE_NOTED_EVERY:
        stale = Q(last_used_at=None) | Q(last_used_at__lte=now - USE_NOTED_EVERY)
        ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)


def revoke_all(user: User, now: datetime, request: HttpRequest | None = None) -> int:
    """End every token of `user` that works, each with its entry in the audit log; return how many."""
    with transaction.atomic():
        return sum(revoke(token, user, now, request) for token in ApiToken.objects.of(user).usable_at(now))


def revoke(token: ApiToken, actor: User, now: datetime, request: HttpRequest | None = None) -> bool:
    """End it at once; False where it was revoked already."""
    if not ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now):
        return False
    audit.record("token.revoked", organization=actor.organization, actor=actor, target=token, request=request)
    return True
