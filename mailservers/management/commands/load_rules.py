from __future__ import annotations

from django.core.management.base import BaseCommand, CommandError

from mailservers.rulebook import load_rules
from providers.catalog_files import CatalogError


class Command(BaseCommand):
    help = "Bring the built-in diagnosis rules up to date with their files; does nothing when they have not changed."

    def handle(self, *args: object, **options: object) -> None:
        try:
            changed = load_rules()
        except CatalogError as exc:
            raise CommandError(str(exc)) from exc
        if options["verbosity"]:
            self.stdout.write("The diagnosis rules were loaded." if changed else "The diagnosis rules are up to date.")
