"""`manage.py make_key [NAME]`: print a fresh entry for EMAILSETTINGS_ENCRYPTION_KEYS."""

from __future__ import annotations

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from organizations.sealing import is_key_name, new_key


class Command(BaseCommand):
    help = "Print a fresh key for stored passwords, to be put first into EMAILSETTINGS_ENCRYPTION_KEYS."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", default="", help="Letters, digits and dashes; without one: the date.")

    def handle(self, *args: object, **options: object) -> None:
        name = str(options["name"]) or f"{timezone.now():%Y-%m-%d}"
        if not is_key_name(name):
            raise CommandError(f"“{name}” is no name for a key: at most 40 letters, digits and dashes.")
        self.stdout.write(new_key(name))
