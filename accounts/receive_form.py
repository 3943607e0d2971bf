"""What a mailbox downloads (spec E7)."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db import transaction

from accounts.folders_form import LEFT_OUT, WhichFoldersField
from accounts.models import DownloadPeriod, Mailbox
from accounts.rights import may_switch_downloads_on
from organizations.models import User
from organizations.operations import Operation
from organizations.plain_words import PlainWords

NEEDS_OPERATION = (
    f"This mailbox is shared, and its mail would be downloaded for everybody. That needs the operation "
    f"“{Operation.SYNCHRONISE_SHARED_MAILBOXES.label}”; ask an administrator for it."
)


class ReceiveForm(PlainWords, forms.ModelForm):  # type: ignore[type-arg]
    """With *all folders*, new ones are followed by themselves; with *selected folders* they wait for a tick."""

    all_folders = WhichFoldersField()

    class Meta:
        model = Mailbox
        fields = ["downloads", "download_period"]
        labels = {"download_period": "Download mail for period"}
        help_texts = {
            "downloads": "Off: new mail comes only when somebody presses Sync.",
            "download_period": "How far back the download reaches. A longer period brings the older mail with the next "
            "sync; a shorter one removes nothing.",
        }
        error_messages = {"download_period": {"invalid_choice": "Choose one of the periods of the list."}}

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.initial["all_folders"] = "all" if self.instance.all_folders else "selected"
        if not self.initial["downloads"] and not may_switch_downloads_on(user, self.instance):
            self.fields["downloads"].help_text = NEEDS_OPERATION

    def clean_downloads(self) -> bool:
        downloads = bool(self.cleaned_data["downloads"])
        switched_on = downloads and not self.initial["downloads"]
        if switched_on and not may_switch_downloads_on(self.user, self.instance):
            raise forms.ValidationError(NEEDS_OPERATION)
        return downloads

    @property
    def asks_for_folders(self) -> bool:
        """Whether this change leaves a choice to be made: which folders."""
        return "all_folders" in self.changed_data and self.cleaned_data["all_folders"] is False

    @property
    def change_of_period(self) -> str:
        """What becomes of the mail that is stored already; empty where none is, or the period stays."""
        if "download_period" not in self.changed_data:
            return ""
        if not self.instance.folders.filter(synced_at__isnull=False).exists():
            return ""
        before, after = (
            DownloadPeriod.values.index(values["download_period"]) for values in (self.initial, self.cleaned_data)
        )
        if after < before:
            return "Saved. What is stored stays; folders that are downloaded from now on reach back this far."
        if not self.cleaned_data["downloads"]:
            return "Saved. The older mail that is not here yet comes when somebody presses Sync."
        return "Saved. The older mail that is not here yet comes with the next sync."

    def save(self, commit: bool = True) -> Mailbox:
        """Store it in one transaction; there is nothing to save later. A worker may write other columns meanwhile."""
        self.instance.all_folders = self.cleaned_data["all_folders"]
        with transaction.atomic():
            mailbox: Mailbox = super().save(commit=False)
            mailbox.save(update_fields=[*self.Meta.fields, "all_folders"])
            if mailbox.all_folders and "all_folders" in self.changed_data:
                usual = mailbox.folders.filter(vanished_at=None, is_selectable=True).exclude(special_use__in=LEFT_OUT)
                usual.update(is_followed=True)
        return mailbox
