"""Saving what is being written, with its files, finding it again, and letting it go once it is sent (spec H3)."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import Count, Sum
from django.template.defaultfilters import filesizeformat

from delivery.forms import LONGEST_HTML, MAX_ATTACHMENTS_SIZE, MAX_TEXT, ComposeForm
from delivery.models import DraftFile, OutboxMessage, SavedDraft
from mailstore.models import Message
from organizations.models import User
from protocols.message.build import Attachment

MOST: Final = 200  # drafts of one person; none goes by itself
MOST_FILES: Final = 100  # of one draft
MOST_OCTETS: Final = 200 * 1024 * 1024  # of all drafts of one person: their text with its pictures, and their files
KEY: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
KINDS: Final = frozenset(("compose", "reply", "forward"))
_SWITCHES: Final = frozenset(("signed", "include_original", "as_attachment"))
_LEFT_OUT: Final = frozenset(("submission_key", "next", "attachments"))
_LONGEST: Final = {"html": LONGEST_HTML, "text": MAX_TEXT, "quote": MAX_TEXT}


class NotADraft(ValueError):
    """What was sent cannot be kept. The text is a sentence."""


class DraftsFull(NotADraft):
    """There is no room for one more, or for more in one: somebody has to discard some."""


def save(user: User, key: str, kind: str, original: Message | None, fields: object, now: datetime) -> SavedDraft | None:
    """Keep the fields of a composer; None where its mail is queued already. Raises NotADraft, also as DraftsFull."""
    if not KEY.fullmatch(key) or kind not in KINDS or not isinstance(fields, dict):
        raise NotADraft("This is not what a composer holds.")
    if OutboxMessage.objects.filter(author=user, submission_key=key).exists():
        return None
    kept = _kept(fields)
    shown = {"subject": str(kept.get("subject", ""))[:900], "recipients": str(kept.get("to", ""))[:300]}
    size = len(json.dumps(kept))
    with transaction.atomic():
        _take_turns(user)
        before = user.drafts.filter(key=key).values_list("size", flat=True).first() or 0
        draft, is_new = SavedDraft.objects.update_or_create(
            user=user,
            key=key,
            defaults={"kind": kind, "original": original, "fields": kept, "size": size, "changed_at": now, **shown},
        )
        if is_new and user.drafts.count() > MOST:
            raise DraftsFull(f"You have {MOST} drafts already. Discard some of them.")
        if size > before and _held(user) > MOST_OCTETS:
            raise DraftsFull(f"Your drafts hold {filesizeformat(MOST_OCTETS)} already. Discard large ones.")
    return draft


def _held(user: User) -> int:
    """Octets of all that one person has begun. It reads neither texts nor files."""
    texts = user.drafts.aggregate(octets=Sum("size", default=0))
    files = DraftFile.objects.filter(draft__user=user).aggregate(octets=Sum("size", default=0))
    return int(texts["octets"] + files["octets"])


def _take_turns(user: User) -> None:
    """What one person keeps is counted by one at a time, in two windows and by programs. Inside a transaction."""
    User.objects.select_for_update(no_key=True).only("pk").get(pk=user.pk)


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of a draft without its octets, as the form offers it. is_ticked: it travels along."""

    path: str
    filename: str
    content_type: str
    size: int
    is_ticked: bool


def keep_files(
    user: User,
    key: str,
    chosen: Sequence[Attachment],
    *,
    ticked: Collection[str] = (),
    unticked: Collection[str] = (),
    removed: Collection[str] = (),
) -> list[str]:
    """Add `chosen` to the files of a draft, and do to earlier ones, by their paths, what its composer did; all or none.

    Only what is `removed` goes: a file that this window does not know was chosen in another one. A file that is there
    already, octet by octet, is not stored again, so an upload whose answer was lost may be repeated. Returns the paths
    of `chosen`, in its order. Raises NotADraft where there is no such draft, or where the files are too much.
    """
    with transaction.atomic():
        _take_turns(user)
        draft = SavedDraft.objects.select_for_update().filter(user=user, key=key).first()
        if draft is None:
            raise NotADraft("There is no such draft (any more).")
        known = {one.path: one.pk for one in draft.files.only("pk", "draft")}
        kept = {known[path] for path in ticked if path in known}
        left_out = {known[path] for path in unticked if path in known} - kept
        draft.files.filter(pk__in={known[path] for path in removed if path in known}).delete()
        draft.files.filter(pk__in=left_out).update(is_left_out=True)
        stored = [_stored(draft, one) for one in chosen]
        draft.files.filter(pk__in=kept | {one.pk for one in stored}).update(is_left_out=False)
        _check_sizes(user, draft)
    return [one.path for one in stored]


def _stored(draft: SavedDraft, file: Attachment) -> DraftFile:
    """The row of a file: the one that holds it already, or a new one."""
    names = {"filename": file.filename[:255], "content_type": file.content_type[:255].replace("\0", "")}
    alike = draft.files.filter(size=len(file.content), **names)
    there = next((one for one in alike if bytes(one.content) == file.content), None)
    return there or DraftFile.objects.create(draft=draft, size=len(file.content), content=file.content, **names)


def _check_sizes(user: User, draft: SavedDraft) -> None:
    """Raises NotADraft; the transaction takes back what was written."""
    mine = draft.files.aggregate(octets=Sum("size", default=0), number=Count("pk"))
    if mine["octets"] > MAX_ATTACHMENTS_SIZE or mine["number"] > MOST_FILES:
        limit = filesizeformat(MAX_ATTACHMENTS_SIZE)
        raise NotADraft(f"The files are too many or too large to be kept with the draft: {limit} together are kept.")
    if mine["octets"] and _held(user) > MOST_OCTETS:
        raise NotADraft(
            f"Your drafts hold {filesizeformat(MOST_OCTETS)} of text and files already. Discard one with large files."
        )


def files(user: User, key: str) -> list[KeptFile]:
    """The files of a draft, in the order in which they were chosen; none where there is no such draft."""
    if not KEY.fullmatch(key):
        return []
    rows = DraftFile.objects.filter(draft__user=user, draft__key=key).defer("content")
    return [KeptFile(one.path, one.filename, one.content_type, one.size, not one.is_left_out) for one in rows]


def attached(user: User, key: str, paths: Collection[str]) -> list[Attachment]:
    """Those of its files that have one of these paths, as they travel."""
    rows = (
        DraftFile.objects.filter(draft__user=user, draft__key=key) if KEY.fullmatch(key) else DraftFile.objects.none()
    )
    return [
        Attachment(filename=one.filename, content_type=one.content_type, content=bytes(one.content))
        for one in rows
        if one.path in paths
    ]


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
