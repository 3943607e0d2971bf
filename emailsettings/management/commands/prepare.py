"""`manage.py prepare`: bring the database up to date before the parts start, as docker-compose.yml does."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.utils import timezone

from delivery import restoring
from emailsettings.preparing import load_data
from organizations import setup


class Command(BaseCommand):
    help = "Check the settings, migrate, load catalog and rules; print the link for the first administrator."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises SystemCheckError where the settings are dangerous."""
        call_command("check", deploy=True, fail_level="ERROR")
        call_command("migrate", verbosity=0, interactive=False)
        load_data()
        if restore := restoring.notice(timezone.now()):
            self.stdout.write(restoring.in_words(restore))
        if not setup.is_set_up():
            token = setup.make_setup_link(timezone.now())
            self.stdout.write(f"Make the first administrator: {settings.PUBLIC_URL}/setup/{token}")
        self.stdout.write("The database is ready.")
