"""`in:` with a folder that is nowhere among the searched mailboxes: a slip, to be told as such (spec H1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from accounts.models import Mailbox
from mailstore.models import Folder
from mailstore.search_words import parts
from mailstore.searching import PLACES

NAMED: Final = 8  # folders that a sentence lists


def unknown_places(text: str, mailboxes: Iterable[Mailbox]) -> list[str]:
    """A sentence for each `in:` of a search that names no folder of `mailboxes`; asks nothing where there is no `in:`.

    Whoever calls has applied rights: the sentences name folders.
    """
    asked = {part.value.strip() for part in parts(text) if part.name == "in"} - {""}
    strange = sorted(place for place in asked if place.casefold() not in PLACES)
    if not strange:
        return []
    folders = Folder.objects.filter(mailbox__in=mailboxes, vanished_at=None)
    missing = [place for place in strange if not folders.filter(name__iexact=place).exists()]
    if not missing:
        return []
    names = list(folders.filter(is_followed=True).order_by("name").values_list("name", flat=True).distinct())
    listed = f"{', '.join(names[:NAMED])}{' and others' if len(names) > NAMED else ''}"
    there = f" There are: {listed}." if names else ""
    return [f"No folder is called {place}.{there}" for place in missing]
