"""What happened to a mailbox, in words: its syncs, and who changed what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from accounts.models import Mailbox
from organizations.models import AuditEntry

SHOWN: Final = 50  # lines of each kind; the newest

_ACTIONS: Final = {
    "mailbox.created": "added the account",
    "mailbox.connected": "connected the mailbox",
    "mailbox.deleted": "deleted the account",
    "mailbox.paused": "paused it",
    "mailbox.resumed": "resumed it",
    "mailbox.sync_released": "released the sync that was running",
    "mailbox.emptied": "removed the stored mail, to download it again",
    "mailbox.folders_refreshed": "refreshed the list of folders",
    "mailbox.signature_changed": "changed the signature",
    "mailbox.checked": "tested the connections",
    "mailbox.settings_read": "opened the settings",
}
_FIELDS: Final = {
    "accepts_clear_text": "the consent to an unprotected connection",
    "all_folders": "which folders are downloaded",
    "also": "which folders are downloaded",
    "appends_sent": "copies of sent mail",
    "retries_uncertain": "sending again what is not known to be sent",
    "display_name": "the display name",
    "download_period": "the download period",
    "downloads": "automatic downloads",
    "folders": "which folders are downloaded",
    "imap_host": "the IMAP server",
    "imap_port": "the IMAP server",
    "imap_security": "the IMAP server",
    "imap_username": "the IMAP user name",
    "is_default": "whether it is the default account",
    "is_shared": "shared access",
    "mail_server": "the mail server that sends",
    "password": "the password",
    "sender_address": "the default sender address",
    "sends": "whether it sends",
    "smtp_host": "the SMTP server",
    "smtp_port": "the SMTP server",
    "smtp_security": "the SMTP server",
    "smtp_username": "the SMTP user name",
    "sync_interval": "the sync interval",
}


@dataclass(frozen=True, slots=True)
class SyncLine:
    """One or many syncs in a row with the same outcome. kind: of the state that is shown."""

    started_at: datetime
    ended_at: datetime
    kind: str
    words: str
    count: int


@dataclass(frozen=True, slots=True)
class RunningSync:
    """The sync that is under way: the process that holds it, since when, and where it is."""

    holder: str
    since: datetime
    folder: str


@dataclass(frozen=True, slots=True)
class AuditLine:
    at: datetime
    who: str
    what: str


def sync_lines(mailbox: Mailbox) -> list[SyncLine]:
    """The newest syncs, newest first."""
    return [
        SyncLine(run.started_at, run.ended_at, "good" if run.came_through else "bad", run.words, run.count)
        for run in mailbox.sync_runs.all()[:SHOWN]
    ]


def running_sync(mailbox: Mailbox, now: datetime) -> RunningSync | None:
    """What is syncing the mailbox at this moment; None: nothing."""
    schedule = getattr(mailbox, "schedule", None)
    if schedule is None or schedule.started_at is None or not schedule.is_running(now):
        return None
    return RunningSync(schedule.holder or "an unnamed process", schedule.started_at, schedule.folder_name)


def audit_lines(mailbox: Mailbox) -> list[AuditLine]:
    """Who changed what, newest first."""
    entries = AuditEntry.objects.filter(
        organization_id=mailbox.organization_id, object_type="mailbox", object_id=str(mailbox.pk)
    )
    return [
        AuditLine(entry.at, entry.actor_label, words_for(entry)) for entry in entries.order_by("-at", "-pk")[:SHOWN]
    ]


def words_for(entry: AuditEntry) -> str:
    """What was done, as it follows the name of who did it."""
    if entry.action == "mailbox.changed":
        return f"changed {in_words(entry.detail.get('fields') or ())}"
    if known := _ACTIONS.get(entry.action):
        return known
    subject, _, verb = entry.action.partition(".")
    return f"{verb.replace('_', ' ')} ({subject.replace('_', ' ')})"


def in_words(fields: Iterable[str]) -> str:
    """Names of settings as a reader would say them, each once: "the password, the IMAP server and copies of mail"."""
    words = list(dict.fromkeys(_FIELDS.get(name, name.replace("_", " ")) for name in fields))
    if len(words) < 2:
        return words[0] if words else "its settings"
    return f"{', '.join(words[:-1])} and {words[-1]}"
