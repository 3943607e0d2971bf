"""`manage.py watch`: wait for new mail on every mailbox whose server tells of it."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.utils import timezone

from mailstore.models import Watcher
from mailstore.watching import WatchKeeper


class Command(BaseCommand):
    help = "Wait for new mail (IMAP IDLE) on all mailboxes in one process. A second process stands by."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="Only tell whether a watcher lives; fails if none does."
        )

    def handle(self, *args: object, **options: object) -> None:
        """Watch until SIGTERM or Ctrl-C. Raises CommandError where --check finds no watcher."""
        if options["check"]:
            self._check()
            return
        raise_file_limit()
        connection.close()
        asyncio.run(_watch(WatchKeeper(f"{socket.gethostname()} process {os.getpid()} ({os.urandom(3).hex()})")))

    def _check(self) -> None:
        watcher = Watcher.objects.first()
        if watcher is None or not watcher.is_alive(timezone.now()):
            raise CommandError("No watcher is running.")
        self.stdout.write(f"{watcher.holder} watches {watcher.watching:,} of {watcher.wanted:,} mailboxes.")


async def _watch(keeper: WatchKeeper) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await keeper.run(stopped)


def raise_file_limit() -> None:
    """Every line is a file: take as many as the system gives without asking an administrator."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
