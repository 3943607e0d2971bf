"""New mailboxes enter the schedule, and changed ones are due again: what was wrong with them may be mended."""

from __future__ import annotations

from django.db.models.signals import post_save, pre_save

from accounts.models import Mailbox
from mailstore import schedule

# What decides whether, where and what a mailbox receives; other changes can wait for the next sync.
DECISIVE = (
    *("imap_host", "imap_port", "imap_security", "imap_username", "password"),
    *("downloads", "download_period", "all_folders", "paused_at"),
)
WATCHED = (*DECISIVE, "sync_interval")


def listen() -> None:
    """Follow mailboxes, wherever they are saved: in the wizard, a dialog, the API or a shell."""
    pre_save.connect(_remember, sender=Mailbox, dispatch_uid="mailstore.remember_mailbox")
    post_save.connect(_enrol, sender=Mailbox, dispatch_uid="mailstore.enrol_mailbox")


def _remember(instance: Mailbox, **_: object) -> None:
    """Note what the row says before the save. The sealed password is compared as it is stored, never opened."""
    stored = None if instance._state.adding else Mailbox.objects.filter(pk=instance.pk).values(*WATCHED).first()
    instance.__dict__["_decisive_before"] = stored and _comparable(stored)


def _enrol(instance: Mailbox, raw: bool = False, **_: object) -> None:
    before = instance.__dict__.pop("_decisive_before", None)
    if raw or not instance.imap_host:
        return
    schedule.ensure(instance)
    if before is None or instance.paused_at is not None:
        return
    after = _comparable({name: instance.__dict__[name] for name in DECISIVE if name in instance.__dict__})
    if any(before[name] != value for name, value in after.items()):
        schedule.make_due(instance.pk)
    elif before["sync_interval"] != instance.__dict__.get("sync_interval", before["sync_interval"]):
        schedule.follow_interval(Mailbox.objects.filter(pk=instance.pk))


def _comparable(values: dict[str, object]) -> dict[str, object]:
    """PostgreSQL gives columns of octets as memory views."""
    sealed = values.get("password")
    return values | {"password": bytes(sealed)} if isinstance(sealed, memoryview) else values
