from __future__ import annotations

from argparse import ArgumentParser

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from providers.catalog import CatalogError, load_catalog
from providers.sandbox import Sandbox, offer_sandbox, withdraw_sandbox


class Command(BaseCommand):
    help = "Bring the built-in provider catalog up to date with its files; does nothing when they have not changed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--sandbox", action="store_true", help="Offer the running sandbox as a provider too.")

    def handle(self, *, sandbox: bool, **options: object) -> None:
        try:
            changed = load_catalog()
        except CatalogError as exc:
            raise CommandError(str(exc)) from exc
        if sandbox:
            offer_sandbox(self._sandbox())
        else:
            withdraw_sandbox()
        if options["verbosity"]:
            self.stdout.write("The provider catalog was loaded." if changed else "The provider catalog is up to date.")

    def _sandbox(self) -> Sandbox:
        path = settings.STATE_DIR / "sandbox" / "password"
        if not (settings.SANDBOX_IMAP_PORT and settings.SANDBOX_SMTP_PORT):
            raise CommandError("--sandbox needs EMAILSETTINGS_SANDBOX_IMAP_PORT and EMAILSETTINGS_SANDBOX_SMTP_PORT.")
        try:
            password = path.read_text().strip()
        except OSError as exc:
            raise CommandError(f"--sandbox needs the sandbox's password in {path}: {exc.strerror}.") from exc
        return Sandbox(settings.SANDBOX_IMAP_PORT, settings.SANDBOX_SMTP_PORT, password)
