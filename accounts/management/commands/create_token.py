"""`manage.py create_token EMAIL [--scopes ...] [--days N] [--mailbox ADDRESS ...]`: an API token, printed once."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.models import Mailbox
from accounts.tokens import CannotIssue, issue_token
from organizations.models import User
from organizations.scopes import ABOUT_MAILBOXES, Scope, opening_something

LONGEST = 3650  # days


class Command(BaseCommand):
    help = "Make an API token for a person and print it. It is shown this once; only its hash is stored."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email", help="The person it acts for.")
        parser.add_argument("--name", default="Made on the command line", help="What it is for.")
        parser.add_argument("--scopes", nargs="+", choices=Scope.values, metavar="SCOPE", help=", ".join(Scope.values))
        parser.add_argument("--days", type=int, default=90, help="How long it works; 0: until it is revoked.")
        parser.add_argument("--mailbox", nargs="+", metavar="ADDRESS", help="It sees these mailboxes alone.")

    def handle(self, *, email: str, name: str, days: int, **options: Any) -> None:
        user = User.objects.filter(email__iexact=email, is_active=True).first()
        if user is None:
            raise CommandError(f"No active person here has the address {email}.")
        if not 0 <= days <= LONGEST:
            raise CommandError(f"--days: give 1 to {LONGEST}, or 0 for a token that works until it is revoked.")
        now, mailboxes = timezone.now(), _mailboxes(user, options["mailbox"])
        scopes = [Scope(value) for value in options["scopes"] or ()] or _all_useful(user, bound=mailboxes is not None)
        try:
            token, text = issue_token(
                user,
                name[:100],
                scopes,
                now=now,
                expires_at=now + timedelta(days=days) if days else None,
                mailboxes=mailboxes,
            )
        except CannotIssue as exc:
            raise CommandError(str(exc)) from exc
        end = f"until {token.expires_at:%Y-%m-%d}" if token.expires_at else "until it is revoked"
        self.stderr.write(f"A token for {user.email} that works {end}, for {', '.join(token.scopes)}:")
        self.stdout.write(text)


def _mailboxes(user: User, addresses: list[str] | None) -> list[Mailbox] | None:
    if addresses is None:
        return None
    visible = Mailbox.objects.visible_to(user, timezone.now())
    found: list[Mailbox] = []
    for address in addresses:
        named = list(visible.filter(address__iexact=address))
        if not named:
            raise CommandError(f"{user.email} knows no mailbox {address}.")
        found += named
    return found


def _all_useful(user: User, *, bound: bool) -> list[Scope]:
    """Every scope that opens something for the person, and for a token that is bound to mailboxes."""
    useful = opening_something(user)
    return [scope for scope in useful if scope in ABOUT_MAILBOXES] if bound else useful
