"""`manage.py thread_messages FILE.mbox...`: what the sync makes one conversation, one JSON object per file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mailstore.management.mail_files import MailFilesCommand, Unsuitable
from protocols.message.mbox import NotAnMbox, split_mbox
from protocols.message.parse import parse_summary
from protocols.message.threading import thread_messages


class Command(MailFilesCommand):
    help = "Show which messages belong to one conversation: one JSON object per mbox file and line, in the order given."
    file_help = "An mbox file (RFC 4155)."

    def about(self, path: Path) -> Mapping[str, object]:
        try:
            with path.open("rb") as file:
                return {"threads": thread_messages(map(parse_summary, split_mbox(file)))}
        except NotAnMbox as exc:
            raise Unsuitable(f"is no mbox file. {exc}") from exc
