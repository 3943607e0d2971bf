"""One more organization: `manage.py create_organization NAME --admin EMAIL` (spec A1)."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from organizations import audit, invitations
from organizations.fields import refuse_control_characters, refuse_invisible_characters
from organizations.models import Organization, User
from organizations.roles import administrators_of


class Command(BaseCommand):
    help = "Make another organization and print the link by which its first administrator comes in."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", help="of the organization")
        parser.add_argument("--admin", metavar="EMAIL", required=True, help="address of its first administrator")
        parser.add_argument("--url", help="where people reach this installation; default: EMAILSETTINGS_URL")
        parser.add_argument("--mail", action="store_true", help="also send the link by account mail")

    def handle(self, *args: Any, name: str, admin: str, url: str | None, mail: bool, **options: Any) -> None:
        name, admin = name.strip(), admin.strip()
        self._check(name, admin)
        now = timezone.now()
        with transaction.atomic():
            organization = Organization.objects.create(name=name)
            role = administrators_of(organization)
            person = admin.partition("@")[0].replace(".", " ").replace("_", " ").title()
            invitation, token = invitations.invite(
                organization, name=person, email=admin, roles=[role], by=None, now=now
            )
            audit.record("organization.set_up", organization=organization, actor=None, target=organization)
        origin = (url or settings.PUBLIC_URL).rstrip("/")

        def link_of(token: str) -> str:
            return origin + reverse("organizations:invitation", args=[token])

        if mail and (failure := invitations.mail(invitation, link_of, now=now)):
            self.stderr.write(f"The organization is made, but the mail did not leave. {failure}")
        self.stdout.write(f"Invitation for {admin}, for seven days:")
        self.stdout.write(link_of(token))

    def _check(self, name: str, admin: str) -> None:
        """Raises CommandError with one sentence; nothing is made then."""
        try:
            refuse_control_characters(name)
            refuse_invisible_characters(name)
            validate_email(admin)
        except ValidationError as exc:
            raise CommandError(f"{exc.messages[0]} (NAME was {name!r}, --admin {admin!r})") from exc
        if not name or len(name) > 200:
            raise CommandError("NAME wants 1 to 200 characters.")
        if len(admin) > 254 or User.objects.filter(email__iexact=admin).exists():
            raise CommandError(f"Somebody has the address {admin} already: an address belongs to one organization.")
