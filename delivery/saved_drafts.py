"""Saving what is being written, finding it again, and letting it go once it is sent (spec H3)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from delivery.forms import LONGEST_HTML, MAX_TEXT, ComposeForm
from delivery.models import OutboxMessage, SavedDraft
from mailstore.models import Message
from organizations.models import User

MOST: Final = 200  # drafts of one person; beyond, the oldest are let go
KEY: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
KINDS: Final = frozenset(("compose", "reply", "forward"))
_SWITCHES: Final = frozenset(("signed", "include_original", "as_attachment"))
_LEFT_OUT: Final = frozenset(("submission_key", "next", "attachments"))
_LONGEST: Final = {"html": LONGEST_HTML, "text": MAX_TEXT, "quote": MAX_TEXT}


class NotADraft(ValueError):
    """What was sent cannot be kept. The text is a sentence."""


def save(user: User, key: str, kind: str, original: Message | None, fields: object, now: datetime) -> SavedDraft | None:
    """Keep the fields of a composer; None where its mail is queued already. Raises NotADraft."""
    if not KEY.fullmatch(key) or kind not in KINDS or not isinstance(fields, dict):
        raise NotADraft("This is not what a composer holds.")
    if OutboxMessage.objects.filter(author=user, submission_key=key).exists():
        return None
    kept = _kept(fields)
    shown = {"subject": str(kept.get("subject", ""))[:900], "recipients": str(kept.get("to", ""))[:300]}
    draft, is_new = SavedDraft.objects.update_or_create(
        user=user,
        key=key,
        defaults={"kind": kind, "original": original, "fields": kept, "changed_at": now, **shown},
    )
    if is_new:
        beyond = list(user.drafts.values_list("pk", flat=True)[MOST:])
        SavedDraft.objects.filter(pk__in=beyond).delete()
    return draft


def _kept(fields: Mapping[object, object]) -> dict[str, object]:
    """The values that the form knows, each of its kind. Raises NotADraft."""
    kept: dict[str, object] = {}
    for name in ComposeForm.base_fields:
        value = fields.get(name)
        if value is None or name in _LEFT_OUT:
            continue
        if name == "keep":
            kept[name] = [str(path)[:100] for path in value[:1000]] if isinstance(value, list) else []
        elif name in _SWITCHES:
            kept[name] = value is True
        elif not isinstance(value, str) or len(value) > _LONGEST.get(name, 20_000) or "\0" in value:
            raise NotADraft(f"The field {name} is too long to be kept, or no text.")
        else:
            kept[name] = value
    return kept


def found(user: User, key: str) -> SavedDraft | None:
    if not KEY.fullmatch(key):
        return None
    return SavedDraft.objects.filter(user=user, key=key).select_related("original").first()


def let_go(user: User, key: str) -> int:
    """Remove a draft that was sent or discarded; return how many there were."""
    return SavedDraft.objects.filter(user=user, key=key).delete()[0]
