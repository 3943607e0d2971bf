"""Which folders of a mailbox are downloaded: the server's tree, each tick for itself (spec E7)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.db import transaction

from accounts.models import Mailbox
from organizations.plain_words import PlainWords

# Left out unless ticked: unwanted mail, and views that show the mail of other folders again.
LEFT_OUT = frozenset({"junk", "trash", "all", "flagged", "important"})
DEEPEST = 6  # levels that are still set off to the right


@dataclass(frozen=True, slots=True)
class Branch:
    """A folder as the tree shows it.

    leaf:   the last part of its name.
    depth:  levels above it.
    value:  of its tick; empty where the server lets nobody open it.
    exists: messages on the server when it was last looked at; None before that.
    """

    leaf: str
    depth: int
    value: str
    is_followed: bool
    is_left_out: bool
    problem: str
    exists: int | None
    synced_at: datetime | None


class WhichFoldersField(forms.TypedChoiceField):
    """All folders, or selected ones; coerced to whether it is all of them."""

    def __init__(self) -> None:
        words = "Choose all folders or selected folders."
        super().__init__(
            label="Folders",
            choices=[("all", "All folders"), ("selected", "Selected folders")],
            coerce=lambda value: value == "all",
            widget=forms.RadioSelect,
            error_messages={"required": words, "invalid_choice": words},
        )


class FoldersForm(PlainWords, forms.Form):
    """Ticks are explicit: that of a folder says nothing about those above or below it."""

    all_folders = WhichFoldersField()
    folders = forms.MultipleChoiceField(label="Folders to download", required=False)
    also = forms.MultipleChoiceField(label="Also download", required=False)

    def __init__(self, *args: Any, mailbox: Mailbox, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mailbox = mailbox
        self.branches = list(_tree(mailbox))
        self._offer("folders", self.branches)
        self._offer("also", self.left_out)
        followed = [branch.value for branch in self.branches if branch.is_followed and branch.value]
        everything = "all" if mailbox.all_folders else "selected"
        self.initial = {"folders": followed, "also": followed, "all_folders": everything, **self.initial}

    def _offer(self, name: str, branches: list[Branch]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(branch.value, branch.leaf) for branch in branches if branch.value]
        field.error_messages["invalid_choice"] = (
            "One of the folders is not on the server any more. Look at the ticks and save once more."
        )

    @property
    def left_out(self) -> list[Branch]:
        """What *all folders* does not mean by itself."""
        return [branch for branch in self.branches if branch.is_left_out and branch.value]

    @property
    def ticked(self) -> set[str]:
        return set(self["folders"].value() or ())

    @property
    def also_ticked(self) -> set[str]:
        return set(self["also"].value() or ())

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        nothing = "folders" not in self.errors and not data.get("folders")
        if data.get("all_folders") is False and self.branches and nothing:
            self.add_error("folders", "Choose at least one folder, or download all folders.")
        return data

    def save(self) -> list[str]:
        """Store the choice and which folders are followed, in one transaction; return the names of what changed."""
        mailbox, followed = self.mailbox, self._followed()
        with transaction.atomic():
            changed = [] if mailbox.all_folders == self.cleaned_data["all_folders"] else ["all_folders"]
            mailbox.all_folders = self.cleaned_data["all_folders"]
            offered = mailbox.folders.filter(pk__in=[branch.value for branch in self.branches if branch.value])
            added = offered.filter(pk__in=followed, is_followed=False).update(is_followed=True)
            dropped = offered.exclude(pk__in=followed).filter(is_followed=True).update(is_followed=False)
            mailbox.save(update_fields=["all_folders"])  # a worker may write the others meanwhile
        return [*changed, "folders"] if added or dropped else changed

    def _followed(self) -> set[str]:
        if not self.cleaned_data["all_folders"]:
            return set(self.cleaned_data["folders"])
        usual = {branch.value for branch in self.branches if branch.value and not branch.is_left_out}
        return usual | set(self.cleaned_data["also"])


def _tree(mailbox: Mailbox) -> Iterable[Branch]:
    """The server's folders in the order of a tree: the inbox first, each one before those below it."""
    folders = list(mailbox.folders.filter(vanished_at=None))

    def parts(name: str, delimiter: str) -> list[str]:
        return name.split(delimiter) if delimiter else [name]

    def place(path: list[str]) -> tuple[bool, list[str]]:
        return path[0].upper() != "INBOX", [part.casefold() for part in path]

    named = [(parts(folder.name, folder.delimiter), folder) for folder in folders]
    known = {tuple(path) for path, _ in named}
    for path, folder in sorted(named, key=lambda pair: place(pair[0])):
        above = [path[:end] for end in range(1, len(path)) if tuple(path[:end]) in known]
        leaf = folder.delimiter.join(path[len(above[-1]) if above else 0 :])
        yield Branch(
            leaf="Inbox" if folder.name.upper() == "INBOX" else leaf,
            depth=min(len(above), DEEPEST),
            value=str(folder.pk) if folder.is_selectable else "",
            is_followed=folder.is_followed,
            is_left_out=folder.special_use in LEFT_OUT,
            problem=folder.problem,
            exists=folder.exists if folder.uidvalidity is not None else None,
            synced_at=folder.synced_at,
        )
