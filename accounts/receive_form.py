"""What a mailbox downloads, and how often (spec E7, E10)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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
    """

    leaf: str
    depth: int
    value: str
    is_followed: bool
    is_left_out: bool
    problem: str


class ReceiveForm(PlainWords, forms.ModelForm):  # type: ignore[type-arg]
    """With *all folders*, new ones are followed by themselves; with *selected folders* they wait for a tick."""

    all_folders = forms.TypedChoiceField(
        label="Folders",
        choices=[("all", "All folders"), ("selected", "Selected folders")],
        coerce=lambda value: value == "all",
        widget=forms.RadioSelect,
    )
    folders = forms.MultipleChoiceField(label="Folders to download", required=False)
    also = forms.MultipleChoiceField(label="Also download", required=False)

    class Meta:
        model = Mailbox
        fields = ["downloads", "download_period", "sync_interval"]
        labels = {"download_period": "Download mail for period", "sync_interval": "Sync every (minutes)"}
        help_texts = {
            "downloads": "Off: new mail comes only when somebody presses Sync.",
            "download_period": "How far back the first download reaches.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("all_folders", "all" if self.instance.all_folders else "selected")
        self.branches = list(_tree(self.instance))
        self._choices("folders").choices = [(branch.value, branch.leaf) for branch in self.branches if branch.value]
        self._choices("also").choices = [(branch.value, branch.leaf) for branch in self.left_out]
        followed = [branch.value for branch in self.branches if branch.is_followed and branch.value]
        self.initial.update(folders=followed, also=followed)
        interval = self.fields["sync_interval"]
        interval.help_text = f"Empty: every {self.instance.organization.sync_interval} minutes, as for all accounts."
        words = "Type 1 to 1440 minutes (a day), or leave it empty."
        interval.error_messages |= {"invalid": words, "min_value": words, "max_value": words}

    def _choices(self, name: str) -> forms.MultipleChoiceField:
        field = self.fields[name]
        assert isinstance(field, forms.MultipleChoiceField)
        return field

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

    def clean_sync_interval(self) -> int | None:
        minutes: int | None = self.cleaned_data["sync_interval"]
        if minutes is not None and not 1 <= minutes <= 1440:
            raise forms.ValidationError(self.fields["sync_interval"].error_messages["max_value"])
        return minutes

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("all_folders") is False and self.branches and not data.get("folders"):
            self.add_error("folders", "Choose at least one folder, or download all folders.")
        return data

    def save(self, commit: bool = True) -> Mailbox:
        """Store the choice and which folders are followed, in one transaction; there is nothing to save later."""
        self.instance.all_folders = self.cleaned_data["all_folders"]
        with transaction.atomic():
            mailbox: Mailbox = super().save(commit=False)
            mailbox.save(update_fields=[*self.Meta.fields, "all_folders"])  # a worker may write the others meanwhile
            offered = mailbox.folders.filter(pk__in=[branch.value for branch in self.branches if branch.value])
            offered.filter(pk__in=self._followed()).update(is_followed=True)
            offered.exclude(pk__in=self._followed()).update(is_followed=False)
        return mailbox

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
        )
