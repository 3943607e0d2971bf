"""What people type in the wizard. Each form parses at the edge and offers only what is allowed."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.db.models import Q

from accounts.connecting import Servers
from accounts.models import Mailbox
from mailservers.fields import HostField, OneLineField, PasswordField
from mailservers.forms import SECURITIES
from organizations.models import User
from organizations.plain_words import PlainWords
from protocols.endpoint import Endpoint, Security
from providers import lookup
from providers.fields import PortField, grouped_choices
from providers.models import Provider, SecurityChoice, Status

CLEAR_TEXT = (
    "Without TLS the password and all mail cross the network readable. Switch this on if you accept that, "
    "or choose TLS."
)
#: For static/ports.js: which security a port stands for.
USUAL_SECURITY = json.dumps({"993": "tls", "143": "starttls", "465": "tls", "587": "starttls", "2525": "starttls"})


def checked_address(text: str) -> str:
    """Raises ValidationError with the sentence that says what to change."""
    try:
        return lookup.clean_address(text)
    except lookup.AddressError as exc:
        raise forms.ValidationError(str(exc)) from exc


def refuse_clear_text(form: forms.BaseForm, data: dict[str, Any], *sides: str) -> None:
    """Security *None* has to be confirmed (spec J3), on each of `sides` that has a server."""
    in_the_clear = any(data.get(f"{side}_host") and data.get(f"{side}_security") == Security.NONE for side in sides)
    if in_the_clear and not data.get("accepts_clear_text"):
        form.add_error("accepts_clear_text", CLEAR_TEXT)


class ClearTextField(forms.BooleanField):
    """The confirmation that Security *None* asks for."""

    def __init__(self) -> None:
        super().__init__(
            label="Accept an unprotected connection",
            required=False,
            help_text="Anybody on the way can read the password and the mail. Only for a line you trust.",
        )


class AddressForm(PlainWords, forms.Form):
    """The wizard's first question."""

    address = forms.CharField(
        label="Email address",
        max_length=320,  # what is longer than an address may be is said by the look-up, in words
        widget=forms.EmailInput(
            attrs={"autocomplete": "email", "autofocus": True, "placeholder": "name@company.com", "maxlength": False}
        ),
        error_messages={
            "required": "Type the address of the mailbox you want to connect.",
            "max_length": "This is too long for an email address, which has at most 254 characters.",
        },
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.connected: Mailbox | None = None

    def clean_address(self) -> str:
        """`connected` is the person's own mailbox where this address is connected already."""
        address = checked_address(self.cleaned_data["address"])
        mine = Mailbox.objects.filter(organization_id=self.user.organization_id, owner=self.user)
        self.connected = mine.filter(address__iexact=address).first()
        if self.connected is not None:
            raise forms.ValidationError(f"You have connected {address} already.")
        return address


class PasswordForm(PlainWords, forms.Form):
    """The second question, for a provider that was recognised or chosen."""

    display_name = OneLineField(
        label="Your name",
        max_length=150,
        help_text="Shown to the people you write to.",
        error_messages={"required": "Type the name that people see when you write to them."},
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    username = OneLineField(
        label="User name", max_length=320, required=False, help_text="As the provider gave it to you."
    )
    password = PasswordField(error_messages={"required": "Type the password of the mailbox."})


class ProviderChoiceForm(PlainWords, forms.Form):
    """When the domain is unknown: the person says who provides the mailbox, and the choice is learned (spec C5)."""

    provider = forms.ModelChoiceField(
        Provider.objects.none(),
        label="Who provides this mailbox?",
        empty_label="Choose a provider",
        error_messages={
            "required": "Choose the provider, or type the servers yourself.",
            "invalid_choice": "This provider is not offered any more. Choose another one.",
        },
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["provider"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = Provider.objects.visible_to(user.organization).filter(
            ~Q(imap_host="") | Q(status=Status.NOT_POSSIBLE)
        )
        field.choices = grouped_choices(field.queryset, str(field.empty_label))


class ServersForm(PlainWords, forms.Form):
    """Servers typed by hand, prefilled with the best guess."""

    imap_host = HostField(label="IMAP host", required=False, example="imap.example.com")
    imap_port = PortField(usual=993, required=False)
    imap_security = forms.ChoiceField(
        label="Security", choices=SECURITIES, initial=SecurityChoice.TLS, widget=forms.RadioSelect
    )
    smtp_host = HostField(label="SMTP host", required=False)
    smtp_port = PortField(usual=465, required=False)
    smtp_security = forms.ChoiceField(
        label="Security", choices=SECURITIES, initial=SecurityChoice.TLS, widget=forms.RadioSelect
    )
    username = OneLineField(
        label="User name",
        max_length=320,
        help_text="Often the whole address.",
        error_messages={"required": "Type the user name; often it is the whole address."},
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none"}),
    )
    accepts_clear_text = ClearTextField()

    ports = USUAL_SECURITY

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        wrong_hosts = {"imap_host", "smtp_host"} & set(self.errors)
        if not data.get("imap_host") and not data.get("smtp_host") and not wrong_hosts:
            self.add_error("imap_host", "Type at least one server: IMAP to read mail, SMTP to send it.")
        for side in ("imap", "smtp"):
            if data.get(f"{side}_host") and data.get(f"{side}_port") is None and f"{side}_port" not in self.errors:
                self.add_error(f"{side}_port", self.fields[f"{side}_port"].error_messages["required"])
        refuse_clear_text(self, data, "imap", "smtp")
        return data

    def servers(self) -> Servers:
        data = self.cleaned_data

        def endpoint(side: str) -> Endpoint | None:
            host = data[f"{side}_host"]
            return Endpoint(host, data[f"{side}_port"], Security(data[f"{side}_security"])) if host else None

        return Servers(endpoint("imap"), endpoint("smtp"), data["username"], data["username"])
