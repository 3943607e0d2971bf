"""`/tokens` of the API: one's own tokens, seen and revoked. New ones are made on the page, where their scopes are."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Prefetch
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query, Router, Status
from pydantic import BaseModel, Field

from accounts.models import TokenMailbox
from organizations.calls import ApiRequest, Listing, needs
from organizations.models import ApiToken
from organizations.paging import newest_first
from organizations.scopes import Scope
from organizations.tokens import revoke, revoke_all

router = Router(tags=["Tokens"])


class TokenDocument(BaseModel):
    """A token, without itself: nobody can read it a second time."""

    id: int
    name: str
    prefix: str = Field(description="How it begins.")
    scopes: list[str]
    mailboxes: list[int] | None = Field(description="It sees these alone; null: all that its owner sees.")
    created_at: datetime
    expires_at: datetime | None = Field(description="Null: when it is revoked.")
    last_used_at: datetime | None = Field(description="To the minute.")
    revoked_at: datetime | None


class TokenList(BaseModel):
    items: list[TokenDocument]
    next: str | None = Field(description="The `cursor` of the next page; null on the last.")


class Revoked(BaseModel):
    revoked: int = Field(description="How many worked until now.")


@router.get("/tokens", auth=needs(Scope.TOKENS_READ), operation_id="tokens_list", response=TokenList)
def tokens_list(request: ApiRequest, listing: Query[Listing]) -> TokenList:
    """Your tokens, newest first, those that ended too."""
    mine = ApiToken.objects.of(request.user).prefetch_related(Prefetch("bindings", TokenMailbox.objects.all()))
    page = newest_first(mine, "created_at", listing.checked_cursor, size=listing.limit)
    return TokenList(items=[_document(token) for token in page.rows], next=page.next or None)


@router.delete("/tokens/{int:pk}", auth=needs(Scope.TOKENS_WRITE), operation_id="tokens_revoke", response={204: None})
def tokens_revoke(request: ApiRequest, pk: int) -> Status[None]:
    """End a token of yours at once, this one too. Once more does no harm."""
    revoke(get_object_or_404(ApiToken.objects.of(request.user), pk=pk), request.user, timezone.now(), request)
    return Status(204, None)


@router.delete("/tokens", auth=needs(Scope.TOKENS_WRITE), operation_id="tokens_revoke_all", response=Revoked)
def tokens_revoke_all(request: ApiRequest) -> Revoked:
    """End every token of yours at once, this one too."""
    return Revoked(revoked=revoke_all(request.user, timezone.now(), request))


def _document(token: ApiToken) -> TokenDocument:
    bound = [binding.mailbox_id for binding in token.bindings.all()] if token.only_mailboxes else None
    return TokenDocument(
        id=token.pk,
        name=token.name,
        prefix=token.prefix,
        scopes=token.scopes,
        mailboxes=bound,
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
        revoked_at=token.revoked_at,
    )
