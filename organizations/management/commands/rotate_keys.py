"""`manage.py rotate_keys`: move all stored secrets to the current key, while everything runs (docs/operations.md)."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from organizations.resealing import begin_with_new_key, keys_in_use, reseal_all
from organizations.sealing import keyring


class Command(BaseCommand):
    help = "Seal stored passwords anew with the first key. May be stopped at any time, and run again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--new-key",
            action="store_true",
            help="First make a new key, where the keys stand in a file, as with ./run.",
        )

    def handle(self, *args: object, **options: object) -> None:
        """Raises CommandError where a secret does not open: its key is missing, or the row was damaged."""
        if options["new_key"]:
            self._make_key()
        result = reseal_all()
        self.stdout.write(f"{result.moved} moved to the key “{keyring().current}”, {result.current} had it already.")
        unused = [name for name in keyring().keys if name not in keys_in_use()]
        if unused:
            self.stdout.write(
                f"No secret needs {', '.join(unused)} any more. Keep it for backups made before today, then remove it."
            )
        if result.unopenable:
            raise CommandError(
                f"{len(result.unopenable)} cannot be opened with any key of the ring and were left as they are: "
                f"{', '.join(result.unopenable[:20])}. Add the missing key, or type these passwords again."
            )

    def _make_key(self) -> None:
        file = settings.ENCRYPTION_KEYS_FILE
        if not file:
            raise CommandError(
                "The keys come from EMAILSETTINGS_ENCRYPTION_KEYS. Put the line of “manage.py make_key” first into it, "
                "start all parts again, then run rotate_keys without --new-key."
            )
        name = f"{timezone.now():%Y-%m-%d-%H%M%S}"
        try:
            begin_with_new_key(Path(file), name)
        except OSError as exc:
            raise CommandError(f"{file} could not be written: {exc.strerror}. Nothing was changed.") from exc
