"""Making an API token that may be bound to mailboxes (spec L1)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from django.db import transaction
from django.http import HttpRequest

from accounts.models import Mailbox, TokenMailbox
from organizations.models import ApiToken, User
from organizations.scopes import ABOUT_MAILBOXES, Scope
from organizations.tokens import make_token

MOST_TOKENS = 100  # of one person, those that ended left aside


class CannotIssue(ValueError):
    """What was asked for makes no token. field: which part of it; the text is a sentence."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


def issue_token(
    user: User,
    name: str,
    scopes: Collection[Scope],
    *,
    now: datetime,
    expires_at: datetime | None,
    mailboxes: Iterable[Mailbox] | None = None,
    request: HttpRequest | None = None,
) -> tuple[ApiToken, str]:
    """Return the row and the token itself. `mailboxes`: it sees these alone; None: all that its user sees.

    Raises CannotIssue.
    """
    bound = None if mailboxes is None else list(mailboxes)
    if not scopes:
        raise CannotIssue("scopes", "Tick at least one thing that it is for.")
    if bound is not None and (wider := sorted(set(scopes) - ABOUT_MAILBOXES)):
        labels = ", ".join(f"“{Scope(scope).label}”" for scope in wider)
        raise CannotIssue("scopes", f"A token for certain mailboxes cannot be for {labels}: that concerns more.")
    if bound is not None and not bound:
        raise CannotIssue("mailboxes", "Choose at least one mailbox, or let it see all of yours.")
    if ApiToken.objects.of(user).usable_at(now).count() >= MOST_TOKENS:
        raise CannotIssue("", f"There are {MOST_TOKENS} tokens already. Revoke one that is not needed any more.")
    with transaction.atomic():
        token, text = make_token(
            user, name, scopes, now=now, expires_at=expires_at, only_mailboxes=bound is not None, request=request
        )
        TokenMailbox.objects.bulk_create(TokenMailbox(token=token, mailbox=mailbox) for mailbox in bound or ())
    return token, text
