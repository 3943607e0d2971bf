"""Tasks of accounts: thin, by primary key, harmless when repeated, late or lost."""

from __future__ import annotations

from celery import shared_task
from django.utils import timezone

from organizations import password_recovery
from organizations.nudging import nudge


@shared_task(name="organizations.send_password_link", ignore_result=True)
def send_password_link(pk: int) -> None:
    password_recovery.send_link(pk, timezone.now())


@shared_task(name="organizations.sweep_password_requests", ignore_result=True)
def sweep_password_requests() -> None:
    """Find requests whose nudge was lost."""
    for pk in password_recovery.waiting(timezone.now()):
        nudge(send_password_link, pk)
