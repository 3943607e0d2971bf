"""What people type on the catalog's pages. Each form parses at the edge and names the field that is wrong."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.core.validators import URLValidator

from organizations.models import Organization
from organizations.plain_words import PlainWords
from providers import logos
from providers.facts import MEGABYTE
from providers.fields import DomainField, HostField, OneLineField, PortField, grouped_choices
from providers.listing import Wanted
from providers.lookup import LONGEST_NAME
from providers.models import Authentication, LoginRule, Provider, ProviderDomain, SecurityChoice, Status

SECURITIES = [(SecurityChoice.NONE, "None"), (SecurityChoice.STARTTLS, "STARTTLS"), (SecurityChoice.TLS, "TLS")]
USUAL_SECURITY = json.dumps({"993": "tls", "143": "starttls", "465": "tls", "587": "starttls", "2525": "starttls"})
LONGEST_HINT = 1000  # characters
MOST = 100_000_000  # of anything that is counted; a larger number is a slip
SEARCH = {"type": "search", "autocomplete": "off", "spellcheck": "false", "autocapitalize": "none"}


class CountField(forms.IntegerField):
    """A limit; empty where none is known."""

    def __init__(self, label: str, most: int = MOST) -> None:
        super().__init__(label=label, required=False, min_value=1, max_value=most)
        words = f"Type a whole number from 1 to {most:,}, or leave it empty."
        self.error_messages |= dict.fromkeys(("invalid", "min_value", "max_value"), words)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {**super().widget_attrs(widget), "inputmode": "numeric", "autocomplete": "off"}


class HttpsField(forms.CharField):
    """A link that opens in the browser of everybody who connects a mailbox: https and nothing else."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.URLInput(attrs={"autocomplete": "off", "placeholder": "https://"})
        super().__init__(**{"max_length": 500, "widget": widget, **kwargs})

    def clean(self, value: Any) -> str:
        url = str(super().clean(value))
        try:
            if url:
                URLValidator(schemes=["https"])(url)
        except ValidationError as exc:
            raise ValidationError("Type a whole address that begins with https://, or leave this empty.") from exc
        return url


class ProviderForm(PlainWords, forms.ModelForm):  # type: ignore[type-arg]
    """Every field of an entry (spec C1). A logo that was taken stays in the form while other fields are corrected."""

    name = OneLineField(
        label="Name", max_length=LONGEST_NAME, error_messages={"required": "Give the provider a name that people know."}
    )
    receives = forms.BooleanField(label="Receives mail (IMAP)", required=False)
    imap_host = HostField(label="IMAP host", required=False, example="imap.example.com")
    imap_port = PortField(usual=993, required=False)
    imap_security = forms.ChoiceField(label="Security", choices=SECURITIES, widget=forms.RadioSelect)
    imap_login = forms.ChoiceField(label="IMAP user name", choices=LoginRule.choices)
    delivers = forms.BooleanField(label="Sends mail (SMTP)", required=False)
    smtp_host = HostField(label="SMTP host", required=False)
    smtp_port = PortField(usual=465, required=False)
    smtp_security = forms.ChoiceField(label="Security", choices=SECURITIES, widget=forms.RadioSelect)
    smtp_login = forms.ChoiceField(label="SMTP user name", choices=LoginRule.choices)
    smtp_timeout = forms.IntegerField(label="Response timeout, in seconds", min_value=1, max_value=300)
    hint = forms.CharField(
        label="Hint",
        required=False,
        max_length=LONGEST_HINT,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Shown before the password: what the provider wants, then what to do. One or two sentences.",
    )
    instructions_url = HttpsField(
        label="Instructions", required=False, help_text="Where the provider explains it. An https address."
    )
    connections = CountField("Connections at the same time", 1000)
    messages_per_connection = CountField("Messages per connection")
    per_minute = CountField("Messages per minute")
    per_day = CountField("Messages per day")
    message_size = CountField("Largest message, in MB", 10_000)
    logo = forms.FileField(
        label="Logo",
        required=False,
        widget=forms.FileInput(attrs={"accept": "image/png,image/jpeg,image/webp"}),
        help_text="PNG, JPEG or WebP, at most 256 KB. Square ones look best.",
        error_messages={"invalid": "The logo did not arrive as a file. Choose it again."},
    )
    kept_logo = forms.CharField(required=False, max_length=200_000, widget=forms.HiddenInput)
    drops_logo = forms.BooleanField(label="Remove the logo", required=False)

    ports = USUAL_SECURITY
    LIMITS = ("connections", "messages_per_connection", "per_minute", "per_day", "message_size")

    class Meta:
        model = Provider
        fields = [
            "name", "often_used", "imap_host", "imap_port", "imap_security", "imap_login", "smtp_host", "smtp_port",
            "smtp_security", "smtp_login", "smtp_timeout", "authentication", "status", "hint", "instructions_url",
            "files_sent_mail",
        ]  # fmt: skip
        labels = {"often_used": "Often used", "files_sent_mail": "Files sent mail itself"}
        help_texts = {
            "often_used": "Comes first where people choose a provider.",
            "files_sent_mail": "The provider puts a copy of what was sent into Sent, so this program does not.",
        }

    def __init__(self, *args: Any, organization: Organization, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.organization = organization
        entry: Provider = self.instance
        is_blank = not entry.name
        self.initial.setdefault("receives", is_blank or bool(entry.imap_host))
        self.initial.setdefault("delivers", is_blank or bool(entry.smtp_host))
        for name in self.LIMITS:
            value = entry.limits.get(name)
            self.initial.setdefault(name, -(-value // MEGABYTE) if value and name == "message_size" else value)
        words = "Type a whole number from 1 to 300."
        timeout = self.fields["smtp_timeout"]
        timeout.error_messages |= dict.fromkeys(("required", "invalid", "min_value", "max_value"), words)
        self.new_logo: bytes | None = None

    def clean_hint(self) -> str:
        return " ".join(self.cleaned_data["hint"].split())

    def clean_logo(self) -> None:
        upload: UploadedFile[bytes] | None = self.cleaned_data["logo"]
        if upload is None:
            return
        if (upload.size or 0) > logos.LARGEST_FILE:  # so much the less is read
            raise ValidationError("The logo is too large; at most 256 KB are taken. Save it smaller.")
        try:
            self.new_logo = logos.encode(upload.read())
        except logos.LogoRefused as exc:
            raise ValidationError(str(exc)) from exc

    def clean_kept_logo(self) -> str:
        """The logo of the try before, which the browser would have forgotten; it is decoded like any other."""
        text = str(self.cleaned_data["kept_logo"])
        if text and self.new_logo is None and "logo" not in self.errors:
            try:
                self.new_logo = logos.encode(base64.b64decode(text, validate=True))
            except (binascii.Error, ValueError) as exc:
                raise ValidationError("The logo that was kept from before is broken. Choose it again.") from exc
        return text

    @property
    def logo_to_keep(self) -> str:
        """For the hidden field of a form that has to be corrected: the logo that was taken."""
        return base64.b64encode(self.new_logo).decode() if self.new_logo else ""

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for side, switch, words in (("imap", "receives", "IMAP"), ("smtp", "delivers", "SMTP")):
            if not data.get(switch):
                data[f"{side}_host"] = ""
                self._errors_forgotten(f"{side}_host", f"{side}_port")
            elif not data.get(f"{side}_host") and f"{side}_host" not in self.errors:
                self.add_error(f"{side}_host", f"Type the {words} host, or switch this off.")
            if data.get(f"{side}_port") is None:
                data[f"{side}_port"] = self.fields[f"{side}_port"].initial
        possible = data.get("status") != Status.NOT_POSSIBLE
        if possible and not data.get("receives") and not data.get("delivers"):
            self.add_error("receives", "Switch on receiving or sending, or choose the status “Not possible”.")
        if data.get("status") in (Status.NEEDS_PREPARATION, Status.NOT_POSSIBLE) and not data.get("hint"):
            self._need("hint", "Say what people have to prepare, or why it is not possible.")
        self._refuse_a_second_one(data.get("name", ""))
        self._note_limits(data)
        return data

    def _errors_forgotten(self, *names: str) -> None:
        """What is switched off is not stored, so it cannot be wrong."""
        for name in names:
            self.errors.pop(name, None)

    def _need(self, name: str, words: str) -> None:
        if name not in self.errors:
            self.add_error(name, words)

    def _refuse_a_second_one(self, name: str) -> None:
        entry: Provider = self.instance
        others = Provider.objects.in_catalog_of(self.organization).exclude(key=entry.key)
        if name and others.filter(name__iexact=name).exists():
            self.add_error("name", f"There is an entry with the name “{name}” already. Give this one another name.")

    def _note_limits(self, data: dict[str, Any]) -> None:
        """Into the entry's one column; what no field shows stays."""
        entry: Provider = self.instance
        given = {name: data[name] for name in self.LIMITS if data.get(name)}
        if "message_size" in given:
            given["message_size"] *= MEGABYTE
        others = {name: value for name, value in entry.limits.items() if name not in self.LIMITS}
        size = entry.limits.get("message_size")
        if size and "message_size" in given and "message_size" not in self.changed_data:
            given["message_size"] = size  # shown rounded, kept as it was
        entry.limits = others | given


class FilterForm(PlainWords, forms.Form):
    """Above the list. What cannot be meant is left out, so that an old link still shows something."""

    q = forms.CharField(label="Search", required=False, max_length=320, widget=forms.TextInput(attrs=SEARCH))
    status = forms.ChoiceField(label="Status", required=False, choices=[("", "Any"), *Status.choices])
    authentication = forms.ChoiceField(
        label="Authentication", required=False, choices=[("", "Any"), *Authentication.choices]
    )
    show = forms.ChoiceField(
        label="Show",
        required=False,
        choices=[("", "All"), ("own", "Your own"), ("built_in", "Built in"), ("hidden", "Hidden")],
    )
    after = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)

    def wanted(self) -> Wanted:
        self.is_valid()
        data = self.cleaned_data
        return Wanted(
            data.get("q", "").strip(), data.get("status", ""), data.get("authentication", ""), data.get("show", "")
        )

    @property
    def after_key(self) -> int:
        return int(self.cleaned_data.get("after") or 0)


class DomainFilterForm(PlainWords, forms.Form):
    q = forms.CharField(label="Search", required=False, max_length=320, widget=forms.TextInput(attrs=SEARCH))
    origin = forms.ChoiceField(
        label="Show",
        required=False,
        choices=[("", "All"), ("built_in", "Built in"), ("learned", "Learned"), ("own", "Set by hand")],
    )
    after = forms.CharField(required=False, max_length=253)


class AddressForm(PlainWords, forms.Form):
    """Which provider serves x@y?"""

    address = forms.CharField(
        label="Which provider serves this address?",
        max_length=320,
        widget=forms.TextInput(attrs={**SEARCH, "type": "text", "placeholder": "name@company.com"}),
        error_messages={"required": "Type an address or a domain.", "max_length": "This is too long for an address."},
    )


class DomainForm(PlainWords, forms.ModelForm):  # type: ignore[type-arg]
    domain = DomainField(
        label="Domain",
        help_text="What stands behind the @ of the addresses, in any script.",
        widget=forms.TextInput(attrs={"autocapitalize": "none", "autocomplete": "off", "spellcheck": "false"}),
        error_messages={"required": "Type the domain, such as example.com."},
    )
    provider = forms.ModelChoiceField(
        Provider.objects.none(),
        label="Provider",
        empty_label="Choose a provider",
        error_messages={
            "required": "Choose the provider that serves this domain.",
            "invalid_choice": "This provider is not in the list any more. Choose another one.",
        },
    )

    class Meta:
        model = ProviderDomain
        fields = ["domain", "provider", "covers_subdomains"]
        labels = {"covers_subdomains": "Also every name below it"}
        help_texts = {"covers_subdomains": "Such as mail.example.com for example.com."}

    def __init__(self, *args: Any, organization: Organization, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["provider"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = Provider.objects.in_catalog_of(organization)
        field.choices = grouped_choices(field.queryset, str(field.empty_label))

    def validate_constraints(self) -> None:
        """Left to the database and told by `domains.keep`: the form cannot see what comes at the same moment."""
