"""`manage.py inspect_message FILE...`: what the sync makes of messages, one JSON object per line."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from protocols.message.inspection import inspect_message


class Command(BaseCommand):
    help = "Show how messages are understood: one JSON object per file and line, in the order given."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE", help="A message as it was transferred (.eml).")
        parser.add_argument("--json", action="store_true", help="Accepted for symmetry; the output is always JSON.")

    def handle(self, *args: object, **options: object) -> None:
        """Print a line per file that can be read. Raises CommandError at the end where one could not."""
        files = options["files"]
        assert isinstance(files, list)
        unreadable = []
        for name in files:
            try:
                raw = Path(name).read_bytes()
            except OSError as exc:
                unreadable.append(f"{name} cannot be read: {exc.strerror or exc}.")
                continue
            self.stdout.write(json.dumps({"file": name, **inspect_message(raw)}))
        if unreadable:
            raise CommandError(" ".join(unreadable))
