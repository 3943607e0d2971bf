"""Whether and how a mailbox sends (spec E8)."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db import transaction

from accounts.mailbox_form import NO_SERVER_ROW
from accounts.models import DefaultSender, Mailbox
from mailservers.fields import OneLineField
from mailservers.models import MailServer
from organizations.models import User
from organizations.operations import Operation
from organizations.plain_words import PlainWords
from protocols.endpoint import Protocol
from protocols.message import languages


class SendForm(PlainWords, forms.ModelForm):  # type: ignore[type-arg]
    """Which of the organization's servers sends is chosen by who manages email accounts; others see it.

    *My default sender* is about the one who looks at the page, and offered to whom may send from this mailbox.
    """

    display_name = OneLineField(
        label="Display name",
        max_length=150,
        help_text="Stands before the address in From.",
        error_messages={"required": "Type the name that people see on its mail."},
    )
    is_my_default = forms.BooleanField(
        label="My default sender",
        required=False,
        help_text="Stands in From when you begin a new message. Everybody chooses this for themselves.",
    )

    language = forms.ChoiceField(
        label="Message language",
        required=False,
        help_text="Of what is written into its mail above quotations and forwarded messages, and of spell checking. "
        "Readers’ mail programs are told, too.",
    )

    class Meta:
        model = Mailbox
        fields = [
            "sends",
            "display_name",
            "sender_address",
            "mail_server",
            "language",
            "appends_sent",
            "retries_uncertain",
        ]
        help_texts = {
            "sends": "Off: nobody can choose it as sender, here or through the API. Queued messages fail.",
            "retries_uncertain": "Now and then a connection breaks just before the server’s answer. Off: such a "
            "message is looked for, and a person decides. On: when two looks find nothing, in five minutes or so, it "
            "is sent again once, under the same Message-ID. People may get it twice.",
            "sender_address": "Stands in From unless the writer chooses the account’s own address. Empty: always that "
            "one. The server must let this login send from it.",
        }

    def __init__(self, *args: Any, user: User, may_send: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.was_my_default = DefaultSender.objects.filter(user=user, mailbox=self.instance).exists()
        self.initial["is_my_default"] = self.was_my_default
        if not may_send:
            del self.fields["is_my_default"]
        self._offer_languages()
        self._explain_sent_copies()
        if user.may(Operation.MANAGE_EMAIL_ACCOUNTS):
            self._offer_servers()
        else:
            del self.fields["mail_server"]
            if self.instance.mail_server_id is not None:  # many share its login: one could write as another
                del self.fields["sender_address"]

    def clean_sender_address(self) -> str:
        address = str(self.cleaned_data["sender_address"])
        return "" if address.casefold() == self.instance.address.casefold() else address

    def _offer_languages(self) -> None:
        field, owner = self.fields["language"], self.instance.owner
        assert isinstance(field, forms.ChoiceField)
        unchosen = "Default (English)"
        if owner is not None:
            profile = "my profile" if owner == self.user else f"the profile of {owner}"
            unchosen = f"As in {profile} ({languages.language(owner.language).name})"
        field.choices = [("", unchosen), *languages.choices()]

    def _explain_sent_copies(self) -> None:
        field, provider = self.fields["appends_sent"], self.instance.provider
        if not self.instance.imap_host:
            del self.fields["appends_sent"]
        elif provider is not None and provider.files_sent_mail:
            field.help_text = (
                f"{provider} files sent mail by itself. On: what another server sends is stored there, too."
            )
        else:
            field.help_text = "Each message that was sent is stored in the Sent folder on the server."

    def _offer_servers(self) -> None:
        server = self.fields["mail_server"]
        assert isinstance(server, forms.ModelChoiceField)
        server.label, server.required = "Mail leaves through", False
        server.queryset = MailServer.objects.of(self.user.organization)
        server.empty_label = NO_SERVER_ROW[bool(self.instance.smtp_host)]
        server.error_messages["invalid_choice"] = "This mail server is gone. Choose another one."

    def save(self, commit: bool = True) -> Mailbox:
        mailbox: Mailbox = super().save(commit=False)
        written = {name for name in self.Meta.fields if name in self.fields}
        if "mail_server" in self.changed_data and (mailbox.attention or {}).get("protocol") == Protocol.SMTP:
            if mailbox.paused_at == mailbox.attention_since:  # paused by that very refusal
                mailbox.paused_at = None
            mailbox.attention, mailbox.attention_since = None, None
            written |= {"attention", "attention_since", "paused_at"}
        with transaction.atomic():
            mailbox.save(update_fields=written)
            if "is_my_default" in self.changed_data:
                choose_default_sender(self.user, mailbox if self.cleaned_data["is_my_default"] else None)
        return mailbox


def choose_default_sender(user: User, mailbox: Mailbox | None) -> None:
    """Make `mailbox` what `user` sends from unless another one is chosen; None: no mailbox is preferred."""
    if mailbox is None:
        DefaultSender.objects.filter(user=user).delete()
    else:
        DefaultSender.objects.update_or_create(user=user, defaults={"mailbox": mailbox})
