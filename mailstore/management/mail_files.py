"""Mail tools for support staff: commands that take many files and print one JSON object per file and line."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from django.core.management.base import BaseCommand, CommandError


class Unsuitable(Exception):
    """A file that holds something else than the tool reads. The text is a sentence that goes on after the name."""


class MailFilesCommand(BaseCommand, ABC):
    """A tool is its `help`, its `file_help` and `about`, which says what is known of one file."""

    file_help: ClassVar[str]
    requires_system_checks = ()

    @abstractmethod
    def about(self, path: Path) -> Mapping[str, object]:
        """What the line says after the name, ready for JSON.

        Raises OSError where the file cannot be read, Unsuitable where it is not what the tool reads.
        """

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE", help=self.file_help)
        parser.add_argument("--json", action="store_true", help="Accepted for symmetry; the output is always JSON.")

    def handle(self, *args: object, **options: object) -> None:
        """Print a line per file that can be read. Raises CommandError at the end where one could not."""
        files = options["files"]
        assert isinstance(files, list)
        unreadable = []
        for name in files:
            try:
                about = self.about(Path(name))
            except OSError as exc:
                unreadable.append(f"{name} cannot be read: {exc.strerror or exc}.")
            except Unsuitable as exc:
                unreadable.append(f"{name} {exc}")
            else:
                self.stdout.write(json.dumps({"file": name, **about}))
        if unreadable:
            raise CommandError(" ".join(unreadable))
