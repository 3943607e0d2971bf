"""What people type to connect and change mailboxes. Each form parses at the edge and offers only what is allowed."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db import transaction

from accounts.connecting import Servers
from accounts.models import Mailbox
from mailservers.models import PORT_RANGE, MailServer
from organizations.models import User
from organizations.operations import Operation
from protocols.credentials import Secret
from protocols.endpoint import Endpoint, Security
from providers import lookup
from providers.models import Provider, SecurityChoice

CLEAR_TEXT = (
    "Without TLS the password and all mail cross the network readable. Tick the box below if you accept that, "
    "or choose TLS."
)


def checked_address(text: str) -> str:
    """Raises ValidationError with the sentence that says what to change."""
    try:
        return lookup.clean_address(text)
    except lookup.AddressError as exc:
        raise forms.ValidationError(str(exc)) from exc


class AddressForm(forms.Form):
    """The wizard's first question."""

    address = forms.CharField(
        label="Email address",
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email", "autofocus": True, "placeholder": "name@company.com"}),
        error_messages={"required": "Type the address of the mailbox you want to connect."},
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_address(self) -> str:
        address = checked_address(self.cleaned_data["address"])
        mine = Mailbox.objects.filter(organization_id=self.user.organization_id, owner=self.user)
        if mine.filter(address__iexact=address).exists():
            raise forms.ValidationError(f"You have connected {address} already. You find it in your mail panel.")
        return address


class PasswordForm(forms.Form):
    """The second question, for a provider that was recognised or chosen."""

    display_name = forms.CharField(label="Your name", max_length=150, help_text="Shown to the people you write to.")
    username = forms.CharField(
        label="User name", max_length=320, required=False, help_text="As the provider gave it to you."
    )
    password = forms.CharField(
        label="Password",
        max_length=1000,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        error_messages={"required": "Type the password of the mailbox."},
    )


class ProviderChoiceForm(forms.Form):
    """When the domain is unknown: the person says who provides the mailbox, and the choice is learned (spec C5)."""

    provider = forms.ModelChoiceField(
        Provider.objects.none(),
        label="Who provides this mailbox?",
        empty_label="Choose a provider",
        error_messages={"required": "Choose the provider, or type the servers yourself."},
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["provider"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = Provider.objects.visible_to(user.organization)


class ServersForm(forms.Form):
    """Servers typed by hand, prefilled with the best guess."""

    imap_host = forms.CharField(label="IMAP host", max_length=253, required=False)
    imap_port = forms.IntegerField(label="Port", initial=993, validators=PORT_RANGE)
    imap_security = forms.ChoiceField(
        label="Security", choices=SecurityChoice, initial=SecurityChoice.TLS, widget=forms.RadioSelect
    )
    smtp_host = forms.CharField(label="SMTP host", max_length=253, required=False)
    smtp_port = forms.IntegerField(label="Port", initial=465, validators=PORT_RANGE)
    smtp_security = forms.ChoiceField(
        label="Security", choices=SecurityChoice, initial=SecurityChoice.TLS, widget=forms.RadioSelect
    )
    username = forms.CharField(label="User name", max_length=320, help_text="Often the whole address.")
    accepts_clear_text = forms.BooleanField(label="I accept an unprotected connection", required=False)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not data.get("imap_host") and not data.get("smtp_host"):
            self.add_error("imap_host", "Type at least one server: IMAP to read mail, SMTP to send it.")
        for side in ("imap", "smtp"):
            in_the_clear = data.get(f"{side}_host") and data.get(f"{side}_security") == Security.NONE
            if in_the_clear and not data.get("accepts_clear_text"):
                self.add_error(f"{side}_security", CLEAR_TEXT)
        return data

    def servers(self) -> Servers:
        data = self.cleaned_data

        def endpoint(side: str) -> Endpoint | None:
            host = data[f"{side}_host"]
            return Endpoint(host, data[f"{side}_port"], Security(data[f"{side}_security"])) if host else None

        return Servers(endpoint("imap"), endpoint("smtp"), data["username"], data["username"])


class MailboxForm(forms.ModelForm[Mailbox]):
    """The account dialog (spec E4). On edit the address is fixed and a blank password keeps the stored one.

    Who only has the setup right gets neither owner nor default nor the organization's servers to choose from; who
    edits a mailbox that sends through its provider gets that server's fields too.
    """

    password = forms.CharField(
        max_length=1000, strip=False, required=False, widget=forms.PasswordInput(attrs={"autocomplete": "off"})
    )
    accepts_clear_text = forms.BooleanField(label="I accept an unprotected connection", required=False)

    class Meta:
        model = Mailbox
        fields = [
            "owner", "address", "display_name", "mail_server", "is_default",
            "imap_host", "imap_port", "imap_security", "imap_username",
            "smtp_host", "smtp_port", "smtp_security", "smtp_username",
        ]  # fmt: skip
        labels = {
            "imap_security": "Security", "imap_port": "Port", "imap_username": "Username",
            "smtp_security": "Security", "smtp_port": "Port", "smtp_username": "Username",
        }  # fmt: skip
        widgets = {"imap_security": forms.RadioSelect, "smtp_security": forms.RadioSelect}
        help_texts = {
            "imap_host": "Leave empty for an account that only sends.",
            "imap_username": "Empty: the email address.",
            "smtp_username": "Empty: the email address.",
            "is_default": "Used by automation and the API where they name no account.",
        }

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self._offer_only_what_is_allowed()
        if self.instance.pk:
            self.fields["address"].disabled = True
            if self.keeps_password:
                self.fields["password"].help_text = "Leave blank to keep the stored one."

    def _offer_only_what_is_allowed(self) -> None:
        if not self.instance.smtp_host:
            self._leave_out("smtp_host", "smtp_port", "smtp_security", "smtp_username")
        if not self.user.may(Operation.MANAGE_EMAIL_ACCOUNTS):
            self._leave_out("owner", "is_default", "mail_server")
            return
        owner, server = self.fields["owner"], self.fields["mail_server"]
        assert isinstance(owner, forms.ModelChoiceField)
        assert isinstance(server, forms.ModelChoiceField)
        owner.queryset = User.objects.filter(organization_id=self.user.organization_id, is_active=True).order_by("name")
        owner.empty_label = f"{self.user.organization} (shared)"
        server.queryset = MailServer.objects.of(self.user.organization)
        # A mailbox that sends through its provider (from the wizard) needs no mail server of the organization.
        server.required = not self.instance.smtp_host
        server.empty_label = "The provider's own server" if self.instance.smtp_host else "Choose a mail server"
        server.error_messages["required"] = "Choose the mail server that sends for this account."

    def _leave_out(self, *names: str) -> None:
        for name in names:
            del self.fields[name]

    def clean_address(self) -> str:
        return str(self.instance.address) if self.instance.pk else checked_address(self.cleaned_data["address"])

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for side in ("imap", "smtp"):
            in_the_clear = data.get(f"{side}_host") and data.get(f"{side}_security") == Security.NONE
            if in_the_clear and not data.get("accepts_clear_text") and f"{side}_security" in self.changed_data:
                self.add_error(f"{side}_security", CLEAR_TEXT)
        if not data.get("password"):
            self._need_a_password(data)
        self._refuse_a_second_one(data)
        return data

    def _need_a_password(self, data: dict[str, Any]) -> None:
        if self.keeps_password and self.moved_server:
            self.add_error(
                "password",
                "The server was changed. Type the password again, so that it never goes to a server "
                "it was not meant for.",
            )
        elif not self.keeps_password and data.get("imap_host"):
            self.add_error("password", "Type the password with which this account reads its mail.")

    def _refuse_a_second_one(self, data: dict[str, Any]) -> None:
        owner = data["owner"] if "owner" in self.fields else self.instance.owner
        twins = Mailbox.objects.filter(
            organization_id=self.user.organization_id, owner=owner, address__iexact=data.get("address", "")
        )
        if twins.exclude(pk=self.instance.pk).exists():
            self.add_error("address", "There is an account with this address and owner already. Edit that one.")

    @property
    def keeps_password(self) -> bool:
        """Whether there is a stored password that a blank field keeps."""
        return bool(self.instance.pk and self.instance.password)

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
        mailbox = super().save(commit=False)
        mailbox.organization_id = self.user.organization_id
        if self.cleaned_data.get("password"):
            mailbox.password = Secret(self.cleaned_data["password"])
        if self.changed_data:  # what was wrong may be mended: the next sync tells
            mailbox.login_refusals, mailbox.attention, mailbox.attention_since = 0, None, None
            mailbox.paused_at = None
        if commit:
            mailbox.save()
        return mailbox


class ReceiveForm(forms.ModelForm[Mailbox]):
    """What is downloaded, and how often (spec E7, E10). Choosing a parent folder does not choose its children."""

    all_folders = forms.TypedChoiceField(
        label="Folders",
        choices=[("all", "All folders"), ("selected", "Selected folders")],
        coerce=lambda value: value == "all",
        widget=forms.RadioSelect,
        help_text="All folders leaves out Spam, Trash and All Mail.",
    )
    folders = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)

    class Meta:
        model = Mailbox
        fields = ["downloads", "download_period", "sync_interval"]
        labels = {"download_period": "Download mail for period", "sync_interval": "Sync every (minutes)"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("all_folders", "all" if self.instance.all_folders else "selected")
        self.tree = list(self.instance.folders.filter(is_selectable=True, vanished_at=None).order_by("name"))
        field = self.fields["folders"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(str(folder.pk), folder.name) for folder in self.tree]
        self.initial["folders"] = [str(folder.pk) for folder in self.tree if folder.is_followed]
        default = self.instance.organization.sync_interval
        self.fields["sync_interval"].help_text = f"Empty: every {default} minutes, as for all accounts."

    def clean_sync_interval(self) -> int | None:
        minutes: int | None = self.cleaned_data["sync_interval"]
        if minutes is not None and not 1 <= minutes <= 1440:
            raise forms.ValidationError("Choose between 1 minute and 1,440 minutes (a day), or leave it empty.")
        return minutes

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("all_folders") is False and self.tree and not data.get("folders"):
            self.add_error("folders", "Choose at least one folder, or download all folders.")
        return data

    def save(self, commit: bool = True) -> Mailbox:
        """Store the choice, and with selected folders which ones are followed, in one transaction."""
        self.instance.all_folders = self.cleaned_data["all_folders"]
        with transaction.atomic():
            mailbox = super().save(commit)
            if not mailbox.all_folders and self.tree:
                chosen = self.cleaned_data["folders"]
                mailbox.folders.filter(pk__in=chosen).update(is_followed=True)
                mailbox.folders.exclude(pk__in=chosen).update(is_followed=False)
        return mailbox
