"""What the watcher reads from the database and writes into it. One thread keeps its connection; all others end each
call without one.

Everything here blocks: it runs in threads beside the event loop of `mailstore/watching.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Final, ParamSpec, TypeVar

from django.db import Error as DatabaseProblem
from django.db import connection
from django.db.models import Q
from django.utils import timezone

from accounts.models import Mailbox, MailboxQuerySet
from accounts.sessions import idle_line
from mailstore import runs, schedule
from mailstore.models import Folder, Watcher
from organizations import generations
from protocols.imap.idle_line import IdleLine
from providers.models import Provider

CONNECTIONS_NEEDED: Final = 3  # one to watch, one to sync, one for the person's own program

Given = ParamSpec("Given")
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Target:
    """A mailbox to watch, and where. Another target for the same mailbox means that it moved."""

    mailbox_pk: int
    host: str
    port: int
    security: str
    username: str


class NotWanted(Exception):
    """The row says that this mailbox is not to be watched, or elsewhere."""


def without_connection(work: Callable[Given, Answer]) -> Callable[Given, Answer]:
    """Close this thread's database connection when `work` is done: between two calls lie minutes of waiting."""

    @wraps(work)
    def working(*args: Given.args, **kwargs: Given.kwargs) -> Answer:
        try:
            return work(*args, **kwargs)
        finally:
            connection.close()

    return working


def with_usable_connection(work: Callable[Given, Answer]) -> Callable[Given, Answer]:
    """For the thread that looks at the rows every few seconds and hands news over at once: its database connection
    stays, as long as it works.
    """

    @wraps(work)
    def working(*args: Given.args, **kwargs: Given.kwargs) -> Answer:
        try:
            return work(*args, **kwargs)
        except DatabaseProblem:
            connection.close()
            raise

    return working


@with_usable_connection
def look(holder: str, watching: int, wanted: int, refused: Iterable[int]) -> dict[int, Target] | None:
    """Say that we live, and return what is to be watched by mailbox; None while another watcher does it, or where the
    rows belong to a newer version of this program (fault R29).

    refused: mailboxes whose login was refused since the last look. It is counted: their rows decide about the next.
    """
    for pk in refused:
        runs.refused_to_watch(pk, timezone.now())
    if generations.newer_migration():
        Watcher.objects.leave(holder)
        return None
    if not Watcher.objects.take(holder, timezone.now(), watching=watching, wanted=wanted):
        return None
    rows = _wanted().values_list("pk", "imap_host", "imap_port", "imap_security", "imap_username")
    return {row[0]: Target(*row) for row in rows.iterator()}


@without_connection
def leave(holder: str, refused: Iterable[int]) -> None:
    """Say that we end."""
    for pk in refused:
        runs.refused_to_watch(pk, timezone.now())
    Watcher.objects.leave(holder)


@with_usable_connection
def hand_over(mailbox_pks: Iterable[int]) -> None:
    """Make mailboxes due, because their servers have news."""
    schedule.notice(mailbox_pks)


def open_line(target: Target) -> tuple[IdleLine, bool]:
    """Log in and open the INBOX; return the line, and whether mail came that nobody has fetched.

    Raises NotWanted, MailError.
    """
    line = idle_line(_load(target))
    try:
        return line, _has_missed(target.mailbox_pk, line)
    except BaseException:
        line.close()
        raise


def _wanted() -> MailboxQuerySet:
    """Mailboxes that download by themselves, once a login has worked and while none was refused."""
    too_few = Provider.objects.filter(limits__connections__lt=CONNECTIONS_NEEDED)
    reachable = Q(owner=None) | Q(owner__is_active=True)
    receiving = Mailbox.objects.receiving().filter(reachable, login_refusals=0, connected_at__isnull=False)
    return receiving.exclude(provider__in=too_few).order_by()


@without_connection
def _load(target: Target) -> Mailbox:
    mailbox = _wanted().filter(pk=target.mailbox_pk).first()
    if mailbox is None:
        raise NotWanted
    row = (mailbox.pk, mailbox.imap_host, mailbox.imap_port, mailbox.imap_security, mailbox.imap_username)
    if Target(*row) != target:
        raise NotWanted
    return mailbox


@without_connection
def _has_missed(mailbox_pk: int, line: IdleLine) -> bool:
    inboxes = Folder.objects.filter(mailbox_id=mailbox_pk, special_use=Folder.SpecialUse.INBOX, vanished_at=None)
    stored = inboxes.values_list("uidvalidity", "uidnext").first()
    return stored is not None and stored != (line.state.uidvalidity, line.state.uidnext)
