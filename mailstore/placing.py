"""Where a stored message stands: on its way between folders, and put where the server has it (spec G5; R33)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

from django.db.models import F

from accounts.models import Mailbox
from mailstore import listings
from mailstore.models import UNPLACED, Folder, Message, SyncSchedule
from organizations import live
from protocols.imap.plan import UidSet


def keep_sync_waiting(mailbox_pk: int) -> None:
    """Let no sync write to the mailbox before this transaction ends: its writer renews the same row first."""
    list(SyncSchedule.objects.select_for_update().filter(mailbox_id=mailbox_pk).values_list("pk"))


def take_off(keys: Collection[int], target: Folder | None, now: datetime) -> None:
    """Show messages in `target` before the server has them there; hide them where nobody could see them.

    A folder that is not downloaded shows nothing; None is no folder at all.
    """
    hidden_at = None if target is not None and target.is_followed else now
    shown = {"folder": target} if target is not None else {}
    Message.objects.filter(pk__in=keys).update(**shown, uidvalidity=UNPLACED, uid=F("pk"), vanished_at=hidden_at)


def put(message_pk: int, folder: Folder, uidvalidity: int, uid: int, now: datetime) -> set[int]:
    """Give a message its place on the server, and tell the folder's cursor; return conversations to list again.

    A sync may have been quicker and have stored the same octets anew: that row goes, ours has the history. Where the
    folder is not downloaded nothing more is known of the message, so it stays hidden and without a place.
    """
    if not folder.is_followed:
        Message.objects.filter(pk=message_pk).update(folder=folder, uidvalidity=UNPLACED, uid=F("pk"), vanished_at=now)
        return set()
    same = Message.objects.filter(folder=folder, uidvalidity=uidvalidity, uid=uid).exclude(pk=message_pk)
    touched = set(same.values_list("conversation", flat=True))
    same.delete()
    Message.objects.filter(pk=message_pk).update(folder=folder, uidvalidity=uidvalidity, uid=uid, vanished_at=None)
    present, stored = Folder.objects.values_list("uidvalidity", "stored").get(pk=folder.pk)
    if present in (None, uidvalidity):
        cursor = UidSet.parse(stored) | UidSet([uid])
        Folder.objects.filter(pk=folder.pk).update(stored=str(cursor))
    return touched


def put_back(message_pk: int, folder: Folder, uidvalidity: int, uid: int, now: datetime) -> set[int]:
    """Return a message to where it was. Where the folder was renumbered meanwhile, the next sync finds it anew."""
    known = Folder.objects.filter(pk=folder.pk, uidvalidity=uidvalidity, vanished_at=None).exists()
    if known:
        return put(message_pk, folder, uidvalidity, uid, now)
    hide(message_pk, now)
    return set()


def hide(message_pk: int, now: datetime) -> None:
    """The message is on the server no more, or where nobody knows."""
    Message.objects.filter(pk=message_pk).update(uidvalidity=UNPLACED, uid=F("pk"), vanished_at=now)


def list_again(keys: Collection[int], also: Collection[int] = ()) -> None:
    """Bring the lists up to date for the conversations of messages, and for `also`."""
    conversations = set(Message.objects.filter(pk__in=keys).values_list("conversation", flat=True))
    listings.refresh(conversations | set(also))


def tell_pages(mailbox: Mailbox, folders: Iterable[int]) -> None:
    """Let open panels look again at the folders and at the counts."""
    for pk in set(folders):
        live.announce(mailbox.organization_id, "folder", pk)
    live.announce(mailbox.organization_id, "mailbox", mailbox.pk)
