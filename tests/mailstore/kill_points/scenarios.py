"""What a sync may have to do. Each scenario leaves server and store as they are just before the sync that is killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from unittest import mock

import time_machine
from django.utils import timezone

from accounts.models import DownloadPeriod, Mailbox
from mailstore import marking, tasks
from mailstore.models import Change, Comparison, Folder, Message
from mailstore.partials import Partial
from tests.mailstore.kill_points.messages import MALFORMED, heavy, on_server, with_attachment
from tests.mailstore.kill_points.works import Changes, Comparing, Deleting, StartingOver, Sync, Work
from tests.mailstore.receiving.letters import letter
from tests.mailstore.receiving.server import Account

SECOND_LOOK: Final = timedelta(minutes=6)  # later; five have to pass


@dataclass(frozen=True)
class Scenario:
    """prepare:  makes what is on the server and in the store.
    later:       how long after that the sync takes place.
    mirrors:     afterwards the store shows what the server has; False where it must not believe or take everything.
    settles_in:  syncs after which another one writes nothing.
    beside:      messages are read, and on PostgreSQL written, by others than the thread that fetches them.
    work:        what is interrupted.
    server:      the only server it is for; empty: for all.
    """

    name: str
    prepare: Callable[[Account], None]
    later: timedelta = timedelta(0)
    mirrors: bool = True
    settles_in: int = 1
    beside: bool = False
    work: Work = field(default_factory=Sync)
    server: str = ""


SCENARIOS: Final[list[Scenario]] = []


def scenario(name: str, **options: Any) -> Callable[[Callable[[Account], None]], Callable[[Account], None]]:
    """Keep what the decorated function prepares, with the `options` of a `Scenario`."""

    def keep(prepare: Callable[[Account], None]) -> Callable[[Account], None]:
        SCENARIOS.append(Scenario(name, prepare, **options))
        return prepare

    return keep


# --- The first download -------------------------------------------------------------------------------------------


@scenario("first pull of a few messages in three folders")
def _(account: Account) -> None:
    account.deliver_letters(*range(1, 8))
    account.deliver(letter(8, answers=3), flags=r"\Seen \Flagged")
    account.deliver_letters(9, 10, folder="Sent")
    account.command("create", "&AMk-t&AOk-")
    account.deliver_letters(11, 12, 13, folder="&AMk-t&AOk-")


@scenario("first pull of many messages with a process that reads", beside=True)
def _(account: Account) -> None:
    account.deliver_letters(*range(1, 25))
    account.deliver_letters(*range(25, 33), folder="Sent")


@scenario("first pull of a week", mirrors=False)
def _(account: Account) -> None:
    account.mailbox.download_period = DownloadPeriod.WEEK
    account.mailbox.save()
    for number in range(1, 7):
        account.deliver(letter(number), at=timezone.now() - timedelta(days=60))
    for number in range(7, 14):
        account.deliver(letter(number), at=timezone.now() - timedelta(days=3))


@scenario("first pull of answers before what they answer")
def _(account: Account) -> None:
    for number in range(1, 7):
        account.deliver(letter(number))
    for number in range(7, 13):
        account.deliver(letter(number, answers=number - 6))
    for number in range(13, 16):
        account.deliver(letter(number, answers=number - 6), "Sent")


@scenario("first pull of attachments")
def _(account: Account) -> None:
    for number in range(1, 8):
        account.deliver(with_attachment(number))


@scenario("first pull of malformed messages")
def _(account: Account) -> None:
    account.deliver_letters(1, 2)
    for raw in MALFORMED:
        account.deliver(raw)
    account.deliver_letters(3)


@scenario("first pull of messages larger than a batch")
def _(account: Account) -> None:
    account.deliver_letters(1, 2, 3)
    account.deliver(letter(4, body=("x" * 78 + "\r\n") * 8_000))
    account.deliver(letter(5, body=("y" * 78 + "\r\n") * 8_000))
    account.deliver_letters(6, 7)


@scenario("first pull of large messages")
def _(account: Account) -> None:
    account.deliver_letters(1)
    account.deliver(heavy(2))
    account.deliver(heavy(2), "Sent")
    account.deliver_letters(3)


@scenario("a large message of which there is a beginning")
def _(account: Account) -> None:
    account.deliver_letters(1, 2)
    account.sync()
    account.deliver(heavy(3))
    account.deliver_letters(4)
    begun = Partial(account.folder(), 3)
    begun.take(on_server(heavy(3))[:40_000])
    begun.close()


@scenario("first pull of a folder that the server opens no more")
def _(account: Account) -> None:
    account.deliver_letters(1, 2, 3)
    for name in ("Locked", "Open"):
        account.command("create", name)
        account.deliver_letters(4, 5, folder=name)
    account.lock("Locked")


# --- News ---------------------------------------------------------------------------------------------------------


@scenario("new mail in two folders")
def _(account: Account) -> None:
    account.deliver_letters(*range(1, 6))
    account.sync()
    account.deliver_letters(*range(6, 13))
    account.deliver_letters(13, 14, folder="Sent")


@scenario("much new mail with a process that reads", beside=True)
def _(account: Account) -> None:
    account.deliver_letters(1, 2)
    account.sync()
    account.deliver_letters(*range(3, 24))


@scenario("new mail that joins two conversations")
def _(account: Account) -> None:
    account.deliver_letters(1, 2)
    account.deliver(letter(3, answers=9))
    account.deliver(letter(4, answers=8))
    account.sync()
    account.deliver(letter(8, answers=1))
    account.deliver(letter(9, answers=2))
    account.deliver(letter(10, extra="References: <1@example.com> <2@example.com>\r\n"))
    account.deliver(letter(11, answers=10), "Sent")


@scenario("a new folder with mail")
def _(account: Account) -> None:
    account.deliver_letters(1, 2)
    account.sync()
    account.command("create", "Projects/Bridge")
    account.deliver_letters(3, 4, 5, 6, 7, folder="Projects/Bridge")


@scenario("a folder that was left out until now")
def _(account: Account) -> None:
    account.deliver_letters(1, 2)
    account.deliver_letters(3, 4, 5, 6, folder="Trash")
    account.sync()
    Folder.objects.filter(name="Trash").update(is_followed=True)


@scenario("a longer period was chosen", mirrors=False)
def _(account: Account) -> None:
    account.mailbox.download_period = DownloadPeriod.WEEK
    account.mailbox.save()
    for number, days in enumerate((300, 200, 25, 20, 15, 12, 10, 3, 2, 1), start=1):
        account.deliver(letter(number), at=timezone.now() - timedelta(days=days))
    account.sync()
    Mailbox.objects.update(download_period=DownloadPeriod.MONTH)  # saved, it would be synced at once


@scenario("nothing new")
def _(account: Account) -> None:
    account.deliver_letters(1, 2, 3)
    account.sync()


# --- Changes ------------------------------------------------------------------------------------------------------


@scenario("changed flags")
def _(account: Account) -> None:
    account.deliver_letters(*range(1, 16))
    account.sync()
    account.store("1:6", "+FLAGS", r"\Seen")
    account.store("5:9", "+FLAGS", r"\Flagged $Work")
    account.store("12,14", "+FLAGS", r"\Answered")


@scenario("changed flags, new and deleted mail at once")
def _(account: Account) -> None:
    account.deliver_letters(*range(1, 13))
    account.sync()
    account.store("2:7", "+FLAGS", r"\Seen $Later")
    account.expunge("3,9")
    account.deliver_letters(*range(20, 26))
    account.store("4", "-FLAGS", r"\Seen")


@scenario("deleted mail")
def _(account: Account) -> None:
    account.deliver_letters(*range(1, 16))
    account.sync()
    account.expunge("2,4,6:9,15")


@scenario("mail moved to another folder")
def _(account: Account) -> None:
    account.deliver_letters(*range(1, 11))
    account.command("create", "Archive")
    account.sync()
    account.select("INBOX")
    account.client.uid("MOVE", "2,5:7", "Archive")
    account.unselect()


@scenario("mail copied to another folder and answered there")
def _(account: Account) -> None:
    account.deliver_letters(*range(1, 8))
    account.command("create", "Archive")
    account.sync()
    account.select("INBOX")
    account.client.uid("COPY", "3:6", "Archive")
    account.unselect()
    account.deliver(letter(9, answers=4), "Archive")


@scenario("many messages gone at once, first look", mirrors=False)
def _(account: Account) -> None:
    account.deliver_letters(*range(1, 8))
    account.sync()
    account.expunge("1:7")
    account.deliver_letters(8, folder="Sent")


@scenario("many messages gone at once, second look", later=SECOND_LOOK)
def _(account: Account) -> None:
    account.deliver_letters(*range(1, 10))
    account.sync()
    account.expunge("1:9")
    account.sync()


# --- Folders ------------------------------------------------------------------------------------------------------


@scenario("a renamed folder with new mail")
def _(account: Account) -> None:
    account.command("create", "Work")
    account.deliver_letters(*range(1, 6), folder="Work")
    account.sync()
    account.command("rename", "Work", "Office")
    account.deliver_letters(6, 7, folder="Office")


@scenario("two folders that changed their names with each other", settles_in=2)
def _(account: Account) -> None:
    for name, numbers in (("One", range(1, 5)), ("Two", range(5, 8))):
        account.command("create", name)
        account.deliver_letters(*numbers, folder=name)
    account.sync()
    account.command("rename", "One", "Middle")
    account.command("rename", "Two", "One")
    account.command("rename", "Middle", "Two")
    account.deliver_letters(8, folder="Two")


@scenario("a deleted folder, first look", mirrors=False)
def _(account: Account) -> None:
    account.command("create", "Old")
    account.deliver_letters(*range(1, 5), folder="Old")
    account.sync()
    account.command("delete", "Old")


@scenario("a deleted folder, second look", later=SECOND_LOOK)
def _(account: Account) -> None:
    account.command("create", "Old")
    account.deliver_letters(*range(1, 9), folder="Old")
    account.deliver_letters(9)
    account.sync()
    account.command("delete", "Old")
    account.sync()


@scenario("a deleted folder made again with other mail, after it was believed gone", settles_in=2)
def _(account: Account) -> None:
    account.command("create", "Old")
    account.deliver_letters(*range(1, 4), folder="Old")
    account.sync()
    account.command("delete", "Old")
    account.sync()
    with time_machine.travel(timezone.now() + SECOND_LOOK):
        account.sync()
    account.command("create", "Old")
    account.deliver_letters(*range(5, 10), folder="Old")


@scenario("a renumbered folder", settles_in=2)
def _(account: Account) -> None:
    account.command("create", "Work")
    account.deliver_letters(*range(1, 9), folder="Work")
    account.sync()
    _renumber(account, "Work", [8, 3, 4, 5, 6, 7, 1, 2])


@scenario("a renumbered folder with new mail and messages without Message-ID", settles_in=2)
def _(account: Account) -> None:
    account.command("create", "Work")
    account.deliver_letters(*range(1, 5), folder="Work")
    for number in range(3):
        account.deliver(b"From: a@example.com\r\n\r\nhello %d" % number, "Work")
    account.sync()
    dates = [message.received_at for message in Message.objects.order_by("uid")]
    account.command("delete", "Work")
    account.command("create", "Work")
    for number in range(3):
        account.deliver(b"From: a@example.com\r\n\r\nhello %d" % number, "Work", at=dates[4 + number])
    for number in (4, 3, 2, 1):
        account.deliver(letter(number), "Work", at=dates[number - 1])
    for number in range(20, 25):
        account.deliver(letter(number), "Work", at=timezone.now() + timedelta(seconds=30))


@scenario("a renumbered folder in which mail is missing", later=SECOND_LOOK, settles_in=2)
def _(account: Account) -> None:
    account.command("create", "Work")
    account.deliver_letters(*range(1, 9), folder="Work")
    account.sync()
    _renumber(account, "Work", [2, 7, 1, 5])


def _renumber(account: Account, folder: str, order: list[int]) -> None:
    """Delete the folder and make it again, with some of its letters in another order."""
    dates = {message.message_id: message.received_at for message in Message.objects.filter(folder__name=folder)}
    account.command("delete", folder)
    account.command("create", folder)
    for number in order:
        account.deliver(letter(number), folder, at=dates[f"{number}@example.com"])


# --- What readers do ----------------------------------------------------------------------------------------------


@scenario("mail read, starred, archived and removed by a reader", work=Changes(), settles_in=3, server="Dovecot")
def _(account: Account) -> None:
    _prepare_wishes(account)


@scenario("the same without MOVE", work=Changes(), settles_in=3, server="plain Dovecot")
def _(account: Account) -> None:
    _prepare_wishes(account)


@scenario("flags that a reader and another program changed", work=Changes(), settles_in=3, server="Dovecot")
def _(account: Account) -> None:
    account.deliver_letters(*range(1, 8))
    account.sync()
    wish(account, Change.Kind.SEEN, 1, 2, 3, 4)
    wish(account, Change.Kind.FLAGGED, 4, 5)
    account.store("2:3", "+FLAGS", r"\Answered")
    account.store("3:5", "+FLAGS", r"\Flagged")


@scenario("mail moved by a reader while more comes", work=Changes(), settles_in=3)
def _(account: Account) -> None:
    account.command("create", "Archive")
    account.deliver_letters(*range(1, 7))
    account.sync()
    wish(account, None, 2, 4, 6, to="Archive")
    account.deliver_letters(7, 8)
    account.deliver_letters(9, folder="Archive")


def _prepare_wishes(account: Account) -> None:
    for name in ("Archive", "Spam"):
        account.command("create", name)
    account.deliver_letters(*range(1, 10))
    account.deliver_letters(10, 11, folder="Sent")
    account.sync()
    wish(account, Change.Kind.SEEN, 1, 2, 5)
    wish(account, Change.Kind.FLAGGED, 2, 10)
    wish(account, None, 2, 3, 4, to="Archive")
    Folder.objects.filter(name="Spam").update(special_use=Folder.SpecialUse.JUNK, is_followed=True)
    wish(account, None, 9, to="Spam")
    wish(account, None, 11, to="INBOX")
    wish(account, None, 7, 8, to=None)


def wish(account: Account, kind: Change.Kind | None, *numbers: int, to: str | None = None) -> None:
    """Have the owner set a flag of letters, or move them `to` a folder (None: remove them); nobody does it yet."""
    mailbox, owner = account.mailbox, account.mailbox.owner
    assert owner is not None
    keys = list(Message.objects.filter(subject__in=[f"Letter {n}" for n in numbers]).values_list("pk", flat=True))
    with mock.patch.object(marking, "nudge"):
        if kind is not None:
            marking.mark(mailbox, keys, kind, wanted=True, by=owner, now=timezone.now())
        else:
            target = account.folder(to) if to else None
            marking.move(mailbox, keys, target, by=owner, now=timezone.now())


# --- What else is done with a mailbox -----------------------------------------------------------------------------


@scenario("a comparison with the server", work=Comparing(), settles_in=2, mirrors=False)
def _(account: Account) -> None:
    account.mailbox.download_period = DownloadPeriod.WEEK
    account.mailbox.save()
    for number, days in enumerate((90, 60, 3, 2, 1), start=1):
        account.deliver(letter(number), at=timezone.now() - timedelta(days=days))
    account.deliver_letters(6, 7, folder="Sent")
    account.deliver_letters(8, folder="Trash")
    account.sync()
    account.expunge("3")
    account.deliver_letters(9)
    Comparison.objects.create(mailbox=account.mailbox, requested_at=timezone.now())


@scenario("a comparison in the place of the last one", work=Comparing(), settles_in=2)
def _(account: Account) -> None:
    account.deliver_letters(1, 2, 3)
    account.sync()
    Comparison.objects.create(mailbox=account.mailbox, requested_at=timezone.now())
    tasks.compare_mailbox(account.mailbox.pk)
    Comparison.objects.update(requested_at=timezone.now())
    account.deliver_letters(4)


@scenario("a deleted mailbox", work=Deleting())
def _(account: Account) -> None:
    account.deliver_letters(*range(1, 8))
    account.deliver_letters(8, 9, folder="Sent")
    account.sync()


@scenario("a mailbox that is emptied and downloaded again", work=StartingOver(), settles_in=2)
def _(account: Account) -> None:
    account.deliver_letters(*range(1, 8))
    account.deliver(with_attachment(8))
    account.deliver_letters(9, folder="Sent")
    account.sync()
