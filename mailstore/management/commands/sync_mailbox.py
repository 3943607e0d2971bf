"""`manage.py sync_mailbox ID`: sync one mailbox here and now, and watch it."""

from __future__ import annotations

from argparse import ArgumentParser
from time import monotonic

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts.models import Mailbox, State
from mailstore import schedule, syncing
from mailstore.models import SyncSchedule

LINE_EVERY = 0.5  # seconds


class Command(BaseCommand):
    help = "Sync one mailbox in the foreground, due or not, with a line of progress now and then."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", type=int, help="Number of the mailbox, as in the address of its settings page.")

    def handle(self, *args: object, **options: object) -> None:
        """Claim the mailbox and sync it. Raises CommandError with a sentence when that cannot be, or did not work."""
        pk = int(str(options["id"]))
        mailbox = Mailbox.objects.filter(pk=pk).first()
        if mailbox is None:
            raise CommandError(f"There is no mailbox {pk}.")
        row = schedule.ensure(mailbox)
        now = timezone.now()
        SyncSchedule.objects.filter(pk=pk).update(due_at=now, requested_at=now)
        fence = SyncSchedule.objects.claim(pk, now)
        if fence is None:
            raise CommandError(f"{mailbox} is paused, only sends, or is being synced by a worker right now.")
        printer = _Printer(self, pk)
        syncing.sync(pk, fence, report=printer)
        printer.line()
        row = SyncSchedule.objects.select_related("mailbox").get(pk=pk)
        ended = schedule.progress(row, timezone.now())
        if ended.state is not State.CONNECTED:
            title = (row.mailbox.attention or {}).get("title", "")
            raise CommandError(f"{mailbox}: {ended.waiting_for or title or ended.state.label}")
        self.stdout.write(f"{mailbox}: {row.done} fetched, {row.arrived} new.")


class _Printer:
    """A line about twice a second: folder, done of total, rate, time left."""

    def __init__(self, command: Command, pk: int) -> None:
        self._command = command
        self._pk = pk
        self._printed_at = 0.0

    def __call__(self, folder_name: str, messages: int) -> None:
        if monotonic() - self._printed_at >= LINE_EVERY:
            self.line()

    def line(self) -> None:
        self._printed_at = monotonic()
        row = SyncSchedule.objects.select_related("mailbox").get(pk=self._pk)
        shown = schedule.progress(row, timezone.now())
        if shown.state is not State.SYNCING:
            return
        rate = f", {shown.rate_per_second:,.0f} per second" if shown.rate_per_second else ""
        left = f", about {shown.seconds_left:,.0f} s left" if shown.seconds_left else ""
        self._command.stdout.write(f"{shown.folder or 'Looking'}: {shown.done:,} of {shown.total:,}{rate}{left}")
