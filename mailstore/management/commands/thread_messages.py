"""`manage.py thread_messages FILE.mbox...`: what the sync makes one conversation, one JSON object per file."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from protocols.message.mbox import NotAnMbox, split_mbox
from protocols.message.parse import parse_summary
from protocols.message.threading import thread_messages


class Command(BaseCommand):
    help = "Show which messages belong to one conversation: one JSON object per mbox file and line, in the order given."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE", help="An mbox file (RFC 4155).")
        parser.add_argument("--json", action="store_true", help="Accepted for symmetry; the output is always JSON.")

    def handle(self, *args: object, **options: object) -> None:
        """Print a line per file that can be read. Raises CommandError at the end where one could not."""
        files = options["files"]
        assert isinstance(files, list)
        unreadable = []
        for name in files:
            try:
                with Path(name).open("rb") as file:
                    threads = thread_messages(map(parse_summary, split_mbox(file)))
            except OSError as exc:
                unreadable.append(f"{name} cannot be read: {exc.strerror or exc}.")
                continue
            except NotAnMbox as exc:
                unreadable.append(f"{name} is no mbox file. {exc}")
                continue
            self.stdout.write(json.dumps({"file": name, "threads": threads}))
        if unreadable:
            raise CommandError(" ".join(unreadable))
