"""`manage.py classify_bounce FILE...`: what a delivery report says of each recipient, one JSON object per line."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from protocols.message.bounces import classify


class Command(BaseCommand):
    help = (
        "Show what delivery reports, complaints and automatic replies say of each recipient: one JSON object per file "
        "and line, in the order given. A message that is none of these has no results."
    )
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
            results = [
                {"recipient": each.address, "status": each.status, "kind": each.kind, "reason": each.reason}
                for each in classify(raw).recipients
            ]
            self.stdout.write(json.dumps({"file": name, "results": results}))
        if unreadable:
            raise CommandError(" ".join(unreadable))
