"""`manage.py inspect_message FILE...`: what the sync makes of messages, one JSON object per line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mailstore.management.mail_files import MailFilesCommand
from protocols.message.inspection import inspect_message
from protocols.message.octets import octets_of


class Command(MailFilesCommand):
    help = "Show how messages are understood: one JSON object per file and line, in the order given."
    file_help = "A message as it was transferred (.eml)."

    def about(self, path: Path) -> Mapping[str, object]:
        return inspect_message(octets_of(path))
