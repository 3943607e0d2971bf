"""`manage.py mark_restored`: say that a backup was put back, where the database cannot see it by itself (fault R38)."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from delivery import restoring


class Command(BaseCommand):
    help = (
        "Set aside all mail that waits to be sent, because a backup was put back and it may have been sent since. "
        "Run it before the workers start. Nothing is sent, and nothing is lost."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        restore = restoring.notice(now) or restoring.set_aside(now, as_of=None)
        self.stdout.write(restoring.in_words(restore))
