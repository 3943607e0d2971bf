"""The account dialog: an administrator adds or edits a mailbox (spec E4)."""

from __future__ import annotations

from typing import Any

from django import forms

from accounts.forms import USUAL_SECURITY, ClearTextField, checked_address, refuse_clear_text
from accounts.models import Mailbox
from mailservers.fields import HostField, OneLineField, PasswordField
from mailservers.forms import SECURITIES
from mailservers.models import MailServer
from mailservers.passwords import meant_password
from organizations.models import User
from organizations.operations import Operation
from organizations.plain_words import PlainWords
from organizations.sealing import Unopenable
from protocols.credentials import Secret
from protocols.endpoint import Protocol
from providers.fields import PortField
from providers.models import SecurityChoice
from providers.typed_servers import may_type_servers

SERVERS = ("imap_host", "imap_port", "imap_security", "smtp_host", "smtp_port", "smtp_security")
NO_SERVER_ROW = {True: "The provider's own server", False: "None: it cannot send"}


class MailboxForm(PlainWords, forms.ModelForm):  # type: ignore[type-arg]
    """On edit address and owner are fixed, so that stored mail stays with whom it belongs to, and a blank password
    keeps the stored one.

    Who only has the setup right gets neither owner nor default nor the organization's servers to choose from; who
    edits a mailbox that sends through its provider gets that server's fields too.
    """

    address = forms.CharField(
        label="Email address",
        max_length=320,
        widget=forms.EmailInput,
        error_messages={"required": "Type the address of this account."},
    )
    display_name = OneLineField(
        label="Display name", max_length=150, error_messages={"required": "Type the name that people see on its mail."}
    )
    imap_host = HostField(
        label="IMAP host",
        required=False,
        example="imap.example.com",
        help_text="Leave empty for an account that only sends.",
    )
    imap_port = PortField(usual=993, required=False)
    imap_security = forms.ChoiceField(
        label="Security", choices=SECURITIES, initial=SecurityChoice.TLS, widget=forms.RadioSelect
    )
    imap_username = OneLineField(
        label="User name", max_length=320, required=False, help_text="Empty: the email address."
    )
    password = PasswordField(required=False)
    smtp_host = HostField(label="SMTP host", required=False)
    smtp_port = PortField(usual=465, required=False)
    smtp_security = forms.ChoiceField(
        label="Security", choices=SECURITIES, initial=SecurityChoice.TLS, widget=forms.RadioSelect
    )
    smtp_username = OneLineField(
        label="User name", max_length=320, required=False, help_text="Empty: the email address."
    )
    accepts_clear_text = ClearTextField()

    ports = USUAL_SECURITY

    class Meta:
        model = Mailbox
        fields = [
            "owner", "address", "display_name", "mail_server", "sends", "is_default",
            "imap_host", "imap_port", "imap_security", "imap_username",
            "smtp_host", "smtp_port", "smtp_security", "smtp_username",
        ]  # fmt: skip
        help_texts = {
            "is_default": "Used by automation and the API where they name no account.",
            "sends": "Off: it is never offered as sender.",
        }

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self._troubled_by = (self.instance.attention or {}).get("protocol", "")
        self._offer_only_what_is_allowed()
        if self.instance.pk:
            self.fields["address"].disabled = True
            if self.keeps_password:
                self.fields["password"].help_text = "Leave blank to keep the stored one."
        else:
            del self.fields["sends"]
        if not may_type_servers(user):
            self._keep_the_servers()

    def _keep_the_servers(self) -> None:
        """The organization leaves servers to its administrators (spec B3): shown, and kept whatever is posted."""
        for name in set(SERVERS) & set(self.fields):
            self.fields[name].disabled = True
        for name in {"imap_host", "smtp_host"} & set(self.fields):
            self.fields[name].help_text = "Only administrators change servers here."

    def _offer_only_what_is_allowed(self) -> None:
        if not self.offers_own_smtp:
            self._leave_out("smtp_host", "smtp_port", "smtp_security", "smtp_username")
        if not self.user.may(Operation.MANAGE_EMAIL_ACCOUNTS):
            self._leave_out("owner", "is_default", "mail_server")
            return
        self._offer_owners()
        server = self.fields["mail_server"]
        assert isinstance(server, forms.ModelChoiceField)
        server.label = "Mail server"
        server.queryset = MailServer.objects.of(self.user.organization)
        # From the wizard a mailbox sends by itself; one that lost its server stays without until one is chosen.
        server.required = self.instance.pk is None or self.instance.mail_server_id is not None
        server.empty_label = (
            NO_SERVER_ROW[bool(self.instance.smtp_host)] if self.instance.pk else "Choose a mail server"
        )
        server.error_messages["required"] = "Choose the mail server that sends for this account."

    def _offer_owners(self) -> None:
        owner = self.fields["owner"]
        assert isinstance(owner, forms.ModelChoiceField)
        if self.instance.pk:
            self._leave_out("owner")
            return
        owner.queryset = User.objects.filter(organization_id=self.user.organization_id, is_active=True).order_by("name")
        owner.empty_label = f"{self.user.organization} (shared)"
        owner.help_text = "A person's mail is seen by nobody else; shared mail by those who are given the right."

    def _leave_out(self, *names: str) -> None:
        for name in names:
            del self.fields[name]

    def clean_address(self) -> str:
        return str(self.instance.address) if self.instance.pk else checked_address(self.cleaned_data["address"])

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for side in ("imap", "smtp"):
            if f"{side}_port" in data and data[f"{side}_port"] is None:
                data[f"{side}_port"] = self.fields[f"{side}_port"].initial
        if {"imap_security", "smtp_security", "imap_host", "smtp_host"} & set(self.changed_data):
            refuse_clear_text(self, data, "imap", "smtp")
        if typed := data.get("password"):
            host, organization = data.get("imap_host", ""), self.user.organization
            data["password"] = meant_password(typed, self.instance.provider, host=host, organization=organization)
        elif "password" not in self.errors:
            self._need_a_password(data)
        if self.instance.pk is None:
            self._refuse_a_second_one(data)
        return data

    def _need_a_password(self, data: dict[str, Any]) -> None:
        if not self.keeps_password:
            if data.get("imap_host"):
                self.add_error("password", "Type the password with which this account reads its mail.")
        elif self.moved_server:
            self.add_error(
                "password",
                "The server was changed. Type the password again, so that it never goes to a server "
                "it was not meant for.",
            )
        else:
            try:
                self.instance.password  # noqa: B018  opening it is the question
            except Unopenable:
                self.add_error("password", "The stored password can no longer be opened. Type it again.")

    def _refuse_a_second_one(self, data: dict[str, Any]) -> None:
        twins = Mailbox.objects.filter(
            organization_id=self.user.organization_id,
            owner=data.get("owner"),
            address__iexact=data.get("address", ""),
        )
        if twins.exists():
            self.add_error("address", "There is an account with this address and owner already. Edit that one.")

    @property
    def offers_own_smtp(self) -> bool:
        """Whether the fields of the provider's own SMTP server are part of the form."""
        return bool(self.instance.smtp_host)

    @property
    def keeps_password(self) -> bool:
        """Whether there is a stored password that a blank field keeps. It is not opened to tell."""
        return bool(self.instance.pk and self.instance.has_password)

    @property
    def moved_server(self) -> bool:
        """Whether the stored password would go somewhere else than it was given for."""
        places = {f"{side}_{part}" for side in ("imap", "smtp") for part in ("host", "port", "security")}
        return bool(places & set(self.changed_data))

    def secret(self) -> Secret:
        """The typed password, or the stored one where the field is blank."""
        typed = self.cleaned_data.get("password", "")
        return Secret(typed) if typed or not self.keeps_password else self.instance.password

    def save(self, commit: bool = True) -> Mailbox:
        mailbox: Mailbox = super().save(commit=False)
        mailbox.organization_id = self.user.organization_id
        if self.cleaned_data.get("password"):
            mailbox.password = Secret(self.cleaned_data["password"])
        if self.mends:
            mailbox.login_refusals, mailbox.attention, mailbox.attention_since = 0, None, None
            mailbox.paused_at = None
        elif self.mends_sending:
            if mailbox.paused_at == mailbox.attention_since:  # paused by that very refusal
                mailbox.paused_at = None
            mailbox.attention, mailbox.attention_since = None, None
        if commit:
            mailbox.save(update_fields=self._written() if mailbox.pk else None)
        return mailbox

    def _written(self) -> set[str]:
        """The columns that an edit writes. Workers write the others, perhaps at this very moment."""
        written = set(self._meta.fields or ()) & set(self.fields)
        if self.cleaned_data.get("password"):
            written.add("password")
        if self.mends:
            written |= {"login_refusals", "attention", "attention_since", "paused_at"}
        elif self.mends_sending:
            written |= {"attention", "attention_since", "paused_at"}
        return written

    @property
    def mends(self) -> bool:
        """Whether something changed that may cure what was wrong; the next sync tells."""
        harmless = {"display_name", "is_default", "sends", "mail_server", "accepts_clear_text"}
        return bool(set(self.changed_data) - harmless)

    @property
    def mends_sending(self) -> bool:
        """Whether another server sends from now on, and what is wrong is about the one before."""
        return "mail_server" in self.changed_data and self._troubled_by == Protocol.SMTP
