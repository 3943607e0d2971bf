"""The technical side of a mailbox: its interval and its servers (spec E10, E4)."""

from __future__ import annotations

from typing import Any

from django import forms

from accounts.mailbox_form import MailboxForm
from accounts.models import Mailbox
from organizations.models import User
from organizations.plain_words import PlainWords

LONGEST_INTERVAL = 1440  # minutes: a day


class IntervalForm(PlainWords, forms.ModelForm):  # type: ignore[type-arg]
    """The mailbox's own interval; empty is the organization's."""

    sync_interval = forms.IntegerField(
        label="Sync every (minutes)",
        required=False,
        min_value=1,
        max_value=LONGEST_INTERVAL,
        widget=forms.NumberInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
        error_messages=dict.fromkeys(
            ("invalid", "min_value", "max_value"), "Type 1 to 1440 minutes (a day), or leave it empty."
        ),
    )

    class Meta:
        model = Mailbox
        fields = ["sync_interval"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        usual = self.instance.organization.sync_interval
        self.fields["sync_interval"].help_text = f"Empty: every {usual} minutes, as for all accounts."

    def save(self, commit: bool = True) -> Mailbox:
        mailbox: Mailbox = super().save(commit=False)
        mailbox.save(update_fields=["sync_interval"])  # a worker may write the others meanwhile
        return mailbox


class MailboxServersForm(MailboxForm):
    """The server values of the account dialog alone, with its rules for the password."""

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, user=user, **kwargs)
        for name in ("address", "owner", "display_name", "sends", "is_default", "mail_server"):
            self.fields.pop(name, None)

    @property
    def offers_own_smtp(self) -> bool:
        """Always: an account that was added with a mail server may get a server of its own."""
        return True
