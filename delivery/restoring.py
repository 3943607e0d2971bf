"""After a backup was put back: what waited in it may have been sent since, so it is not sent again by itself (R38).

A database cannot tell by itself that it was restored. So each sweep counts, here and in a small file beside the stored
mail. Where that file has counted further, is gone, or is a copy, something was put back. Only where the whole machine
was, to one moment, nothing shows: then the administrator says so, `manage.py mark_restored`.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import F

from delivery.models import OutboxMessage, OutboxRecipient, Pulse, Restore
from delivery.news import tell_of_outcome
from delivery.states import State
from organizations import audit, live
from organizations.models import Organization

log = logging.getLogger(__name__)

FILE = "outbox-pulse.json"
LENGTH = 160  # octets of the file
SOON = 60.0  # seconds that writing it may take; a copy is younger
AT_ONCE = 200  # messages set aside in one transaction
UNSENT = (State.QUEUED, State.SENDING)


@dataclass(frozen=True, slots=True)
class _Beat:
    """What the file says, 0 for nothing. is_copy: it lies elsewhere than it was written, and came there later."""

    number: int
    is_copy: bool = False


def pulse(now: datetime) -> None:
    """Count one sweep, in the database and then beside the stored mail."""
    with transaction.atomic():
        if not Pulse.objects.filter(pk=1).update(number=F("number") + 1, at=now):
            Pulse.objects.create(pk=1, number=1, at=now)
        number = Pulse.objects.values_list("number", flat=True).get(pk=1)
    try:
        _write(number, now)
    except OSError as exc:
        log.warning("The pulse of the outbox could not be written beside the stored mail: %s", exc)
        Pulse.objects.filter(pk=1, is_beside_mail=True).update(is_beside_mail=False)
    else:
        Pulse.objects.filter(pk=1, is_beside_mail=False).update(is_beside_mail=True)


def notice(now: datetime) -> Restore | None:
    """Find out whether something was put back, and then set aside what waits. None: nothing was."""
    told, known = _read(), Pulse.objects.filter(pk=1).first()
    if not _was_put_back(told, known):
        return None
    restore = set_aside(now, as_of=known.at if known else None)
    number = max(told.number if told else 0, known.number if known else 0)
    Pulse.objects.update_or_create(pk=1, defaults={"number": number, "at": now})
    pulse(now)
    return restore


def _was_put_back(told: _Beat | None, known: Pulse | None) -> bool:
    if told is None:
        return known is not None and known.is_beside_mail  # the file is gone
    return told.is_copy or told.number > (known.number if known is not None else 0)


def set_aside(now: datetime, *, as_of: datetime | None) -> Restore:
    """Take all that waits to *uncertain*, and tell the authors. May be stopped, and run again."""
    note = _note(as_of)
    waiting = OutboxMessage.objects.filter(recipients__state__in=UNSENT)
    by_organization: Counter[int] = Counter()
    while messages := list(waiting.select_related("author").distinct().order_by("pk")[:AT_ONCE]):
        with transaction.atomic():
            for message in messages:
                _set_message_aside(message, note, now)
        by_organization.update(message.organization_id for message in messages)
    for organization in Organization.objects.filter(pk__in=by_organization):
        audit.record(
            "outbox.set_aside",
            organization=organization,
            actor=None,
            detail={"messages": by_organization[organization.pk], "backup_of": as_of.isoformat() if as_of else ""},
        )
    log.warning("A backup was put back; %s messages that waited in it are set aside.", by_organization.total())
    return Restore.objects.create(noticed_at=now, as_of=as_of, set_aside=by_organization.total())


def in_words(restore: Restore) -> str:
    """For the administrator's screen."""
    when = f", as it was at {restore.as_of:%Y-%m-%d %H:%M} UTC" if restore.as_of else ""
    what = f"{restore.set_aside} message{'' if restore.set_aside == 1 else 's'}"
    return (
        f"The database was restored from a backup{when}. {what} waited to be sent then and may have been sent since: "
        "the email log shows them as “Possibly sent”, and their authors are told. Nothing of it is sent by itself."
    )


def _set_message_aside(message: OutboxMessage, note: str, now: datetime) -> None:
    mine = OutboxRecipient.objects.filter(message=message)
    moved = sum(mine.move(origin, State.UNCERTAIN, now, note=note) for origin in UNSENT)
    tell_of_outcome(message, State.UNCERTAIN, moved, claim=f"restored-{now.isoformat()}", now=now)
    live.announce(message.organization_id, "outbox", message.pk)


def _note(as_of: datetime | None) -> str:
    when = f" of {as_of:%d %b %Y, %H:%M} UTC" if as_of else ""
    return (
        f"The database was restored from a backup{when}, and it waited to be sent then. It may have been sent or "
        "cancelled since. It is not sent again by itself."
    )


def _path() -> Path:
    return Path(settings.MAIL_DIR) / FILE


def _read() -> _Beat | None:
    """None: there is no file.

    The file is always written in its place: one that was changed later than it says, or lies at another inode and came
    there later, is a copy. A change of its owner or mode alone makes none.
    """
    path = _path()
    try:
        told, status = json.loads(path.read_text()), path.stat()
        latest = datetime.fromisoformat(told["at"]).timestamp() + SOON
        moved = status.st_ino != int(told["inode"]) and status.st_ctime > latest
        return _Beat(int(told["number"]), is_copy=moved or status.st_mtime > latest)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as exc:
        log.warning("The pulse of the outbox beside the stored mail cannot be read: %s", exc)
        return _Beat(0)


def _write(number: int, now: datetime) -> None:
    """In one go, and always as long: whoever reads meanwhile sees the one from before."""
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        content = json.dumps({"number": number, "at": now.isoformat(), "inode": os.fstat(descriptor).st_ino})
        os.pwrite(descriptor, content.ljust(LENGTH).encode(), 0)
    finally:
        os.close(descriptor)
