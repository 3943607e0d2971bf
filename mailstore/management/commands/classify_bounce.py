"""`manage.py classify_bounce FILE...`: what a delivery report says of each recipient, one JSON object per line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mailstore.management.mail_files import MailFilesCommand
from protocols.message.bounces import classify
from protocols.message.octets import octets_of


class Command(MailFilesCommand):
    help = (
        "Show what delivery reports, complaints and automatic replies say of each recipient: one JSON object per file "
        "and line, in the order given. A message that is none of these has no results."
    )
    file_help = "A message as it was transferred (.eml)."

    def about(self, path: Path) -> Mapping[str, object]:
        recipients = classify(octets_of(path)).recipients
        return {
            "results": [
                {"recipient": each.address, "status": each.status, "kind": each.kind, "reason": each.reason}
                for each in recipients
            ]
        }
