"""The folders of a mailbox as its panel lists them: those with a use first, then the tree of all others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from mailstore.models import Folder

DEEPEST: Final = 3  # levels that are drawn; deeper folders stand on the last one

_USES: Final = list(Folder.SpecialUse)
_ICONS: Final = {
    Folder.SpecialUse.INBOX: "inbox",
    Folder.SpecialUse.SENT: "send",
    Folder.SpecialUse.DRAFTS: "file-pen-line",
    Folder.SpecialUse.ARCHIVE: "archive",
    Folder.SpecialUse.JUNK: "shield-alert",
    Folder.SpecialUse.TRASH: "trash-2",
    Folder.SpecialUse.ALL: "mails",
    Folder.SpecialUse.FLAGGED: "star",
    Folder.SpecialUse.IMPORTANT: "bookmark",
}


@dataclass(frozen=True, slots=True)
class TreeFolder:
    """One line. A folder without `is_open` only holds others; unread: messages."""

    folder: Folder
    label: str
    icon: str
    depth: int
    unread: int = 0

    @property
    def is_open(self) -> bool:
        return self.folder.is_selectable

    @property
    def short_unread(self) -> str:
        return "999+" if self.unread > 999 else str(self.unread)


def folder_tree(folders: Iterable[Folder], unread: Mapping[int, int]) -> list[TreeFolder]:
    """Order `folders` of one mailbox for the panel. unread: messages by folder key.

    The first folder of each use stands on top under its usual name, wherever the server keeps it. Its children follow
    it, except those of an INBOX below which the server keeps everything (RFC 2342 personal namespace "INBOX.").
    """
    present = sorted(folders, key=lambda folder: folder.name.casefold())
    leading = _leading(present)
    parents = _parents(present, leading)
    children: dict[int | None, list[Folder]] = defaultdict(list)
    for folder in present:
        children[parents[folder.pk]].append(folder)
    children[None].sort(key=lambda folder: (_rank(folder, leading), folder.name.casefold()))
    lines: list[TreeFolder] = []

    def add(folder: Folder, above: Folder | None, depth: int) -> None:
        used = leading.get(folder.special_use) is folder
        label = folder.get_special_use_display() if used else _own_name(folder, above)
        icon = _ICONS[Folder.SpecialUse(folder.special_use)] if used else "folder"
        lines.append(TreeFolder(folder, label, icon, min(depth, DEEPEST), unread.get(folder.pk, 0)))
        for child in children[folder.pk]:
            add(child, folder, depth + 1)

    for folder in children[None]:
        add(folder, None, 0)
    return _without_bare_branches(lines)


def _without_bare_branches(lines: list[TreeFolder]) -> list[TreeFolder]:
    """Leave out folders that only hold others where none of those is shown."""
    kept: list[TreeFolder] = []
    for line in reversed(lines):
        if line.is_open or (kept and kept[-1].depth > line.depth):
            kept.append(line)
    return kept[::-1]


def _leading(folders: list[Folder]) -> dict[str, Folder]:
    """The folder that stands for each use: the one nearest to the root."""
    leading: dict[str, Folder] = {}
    for folder in sorted(folders, key=lambda folder: len(folder.name)):
        if folder.special_use:
            leading.setdefault(folder.special_use, folder)
    return leading


def _rank(folder: Folder, leading: Mapping[str, Folder]) -> int:
    if leading.get(folder.special_use) is folder:
        return _USES.index(Folder.SpecialUse(folder.special_use))
    return len(_USES)


def _parents(folders: list[Folder], leading: Mapping[str, Folder]) -> dict[int, int | None]:
    """The nearest folder above each; None for those on top."""
    by_name = {folder.name: folder for folder in folders}
    inbox = leading.get(Folder.SpecialUse.INBOX)
    everything_below_inbox = inbox is not None and all(
        folder is inbox or folder.name.startswith(f"{inbox.name}{folder.delimiter}") for folder in folders
    )
    found: dict[int, int | None] = {}
    for folder in folders:
        above = None if leading.get(folder.special_use) is folder else _above(folder, by_name)
        found[folder.pk] = None if above is None or (everything_below_inbox and above is inbox) else above.pk
    return found


def _above(folder: Folder, by_name: Mapping[str, Folder]) -> Folder | None:
    name = folder.name
    while folder.delimiter and folder.delimiter in name:
        name = name.rpartition(folder.delimiter)[0]
        if name in by_name:
            return by_name[name]
    return None


def _own_name(folder: Folder, above: Folder | None) -> str:
    """The name without what stands above it already."""
    if above is not None:
        return folder.name[len(above.name) + 1 :] or folder.name
    if folder.delimiter and folder.name.upper().startswith(f"INBOX{folder.delimiter}"):
        return folder.name[6:] or folder.name
    return folder.name
