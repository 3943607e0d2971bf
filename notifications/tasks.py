"""Tasks of notifications: thin, harmless when repeated, late or lost."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from notifications.removal import remove_outlived


@shared_task(name="notifications.remove_outlived", ignore_result=True)
def remove_outlived_notifications() -> None:
    """Forget what was read long ago."""
    remove_outlived(timezone.now())
