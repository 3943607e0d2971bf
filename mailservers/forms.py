"""The dialog of a mail server (spec B2, B3). It parses and refuses; it neither checks nor sends."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django import forms
from django.db.models import Q
from django.utils import timezone

from mailservers.fields import HostField, OneLineField, PasswordField
from mailservers.fixes import usual_security
from mailservers.limits import LIMITS, limits_of
from mailservers.models import MailServer
from mailservers.passwords import meant_password
from organizations.models import Organization
from organizations.plain_words import PlainWords
from organizations.sealing import Unopenable
from protocols.credentials import Credentials, Secret
from protocols.endpoint import Endpoint, Security
from providers.fields import grouped_choices
from providers.models import Provider, SecurityChoice, Status

NAME_TAKEN = "There is a mail server “{name}” already. Choose another name, so that people can tell them apart."
USUAL_PORTS = (25, 465, 587)
LARGEST_LIMIT = 1_000_000
LIMIT_WORDS = "Type a whole number from 1 to 1000000, or leave it empty for what is usual."
LIMIT_LABELS = {
    "connections": "Connections at once",
    "messages_per_connection": "Messages per connection",
    "per_minute": "Messages per minute",
    "per_day": "Messages per day",
}
SECURITIES = [(SecurityChoice.NONE, "None"), (SecurityChoice.STARTTLS, "STARTTLS"), (SecurityChoice.TLS, "TLS")]


class ServiceField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """Known providers in two groups; the empty choice is any other server."""

    widget = forms.Select

    def offer(self, organization: Organization, chosen: int | None) -> None:
        visible = Provider.objects.visible_to(organization).filter(~Q(smtp_host="") | Q(status=Status.NOT_POSSIBLE))
        self.queryset = visible | Provider.objects.filter(pk=chosen or 0)
        self.choices = grouped_choices(self.queryset, "Other server")


class MailServerForm(PlainWords, forms.ModelForm):  # type: ignore[type-arg]
    """Add or edit a server. A blank password keeps the stored one, but only for the server it was typed for."""

    provider = ServiceField(Provider.objects.none(), label="Service", required=False)
    host = HostField(label="SMTP host", error_messages={"required": "Type the name or address of the SMTP server."})
    username = OneLineField(
        label="User name",
        max_length=320,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    password = PasswordField(required=False)
    accepts_clear_text = forms.BooleanField(
        label="Send the password unprotected",
        required=False,
        help_text="Anybody on the way can read it. Only for a line you trust, such as inside your own network.",
    )

    class Meta:
        model = MailServer
        fields = [
            "provider", "name", "host", "port", "security", "username", "timeout", "is_default",
            "sends_from_reply_to", "default_reply_address", *LIMITS, "fallback",
        ]  # fmt: skip
        labels = LIMIT_LABELS | {"fallback": "While it cannot be reached, send through"}
        widgets = {
            "port": forms.NumberInput(attrs={"list": "smtp-ports", "inputmode": "numeric", "autocomplete": "off"}),
            "security": forms.RadioSelect,
        }
        help_texts = {
            "timeout": "How long to wait for each answer, 1 to 300.",
            "is_default": "Used where nobody names a server. At most one server is the default.",
            "fallback": "That server must be allowed to send as the same addresses. Nothing goes there that may have "
            "been taken already, and the log says why a message went another way.",
            "sends_from_reply_to": "Mail that automation or the API sends: From is the reply address it names. Off: "
            "From is the email account, and answers go to the reply address.",
            "default_reply_address": "Stands in From where no reply address is named. Empty: the user name does.",
        }
        error_messages = {
            "name": {"required": "Give the server a name that people recognise."},
            "port": {"required": "Type the port; most servers use 587 or 465."},
        }

    def __init__(self, *args: Any, organization: Organization, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.organization = organization
        self.fields["security"].choices = SECURITIES  # type: ignore[attr-defined]
        service = self.fields["provider"]
        assert isinstance(service, ServiceField)
        service.offer(organization, self.instance.provider_id)
        others = MailServer.objects.of(organization).exclude(pk=self.instance.pk)
        self.fields["fallback"].queryset = others  # type: ignore[attr-defined]
        self.fields["fallback"].empty_label = "Nothing; its mail waits"  # type: ignore[attr-defined]
        self._show_usual_limits()
        for name in ("port", "timeout"):
            for code in ("invalid", "min_value", "max_value"):
                limits = "1 to 65535" if name == "port" else "1 to 300"
                self.fields[name].error_messages[code] = f"Type a whole number from {limits}."
            self.fields[name].validators = [_between(1, 65535 if name == "port" else 300)]
        if self.keeps_password:
            self.fields["password"].help_text = "Leave blank to keep the stored one."

    @property
    def has_limits(self) -> bool:
        """Whether something is set, or wrong, among what is folded away."""
        names = (*LIMITS, "fallback")
        return any(self[name].value() or self[name].errors for name in names)

    def _show_usual_limits(self) -> None:
        """Say in each empty field what holds while it is empty, and in each wrong one what to type."""
        usual = limits_of(None, self.service)
        for name in LIMITS:
            field, most = self.fields[name], getattr(usual, name)
            field.widget.attrs |= {"placeholder": f"{most:,}" if most else "No limit", "inputmode": "numeric"}
            field.error_messages |= dict.fromkeys(("invalid", "min_value", "max_value"), LIMIT_WORDS)
            field.validators = [_between(1, LARGEST_LIMIT, LIMIT_WORDS)]

    @property
    def keeps_password(self) -> bool:
        """Whether there is a stored password that a blank field keeps. It is not opened to tell."""
        return bool(self.instance.pk and self.instance.has_password)

    @property
    def service(self) -> Provider | None:
        """The provider that is chosen at the moment, also while the rest of the form is not valid."""
        text = str(self["provider"].value() or "")
        is_key = len(text) < 19 and text.isascii() and text.isdigit()
        return self.fields["provider"].queryset.filter(pk=text).first() if is_key else None  # type: ignore[attr-defined]

    @property
    def ports(self) -> str:
        """For static/ports.js: which security a port stands for."""
        return json.dumps({str(port): usual for port in (465, 587, 2525) if (usual := usual_security(port))})

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        if self.name_is_taken(name):
            raise forms.ValidationError(NAME_TAKEN.format(name=name))
        return name

    def name_is_taken(self, name: str) -> bool:
        """Whether another server of the organization has it, in capitals or not."""
        others = MailServer.objects.of(self.organization).exclude(pk=self.instance.pk).values_list("name", flat=True)
        return name.casefold() in {other.casefold() for other in others}

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        provider = data.get("provider")
        if provider is not None and (obstacle := provider.sending_obstacle()):
            self.add_error("provider", obstacle)
        if typed := data.get("password"):
            host = data.get("host", "")
            data["password"] = meant_password(typed, provider, host=host, organization=self.organization)
        self._check_login(data)
        return data

    def _check_login(self, data: dict[str, Any]) -> None:
        if "username" in self.errors or "password" in self.errors:
            return
        username, password = data.get("username", ""), data.get("password", "")
        if password and not username:
            self.add_error("username", "A password needs a user name. Clear the password if the server wants no login.")
        elif username and not password and not self.keeps_password:
            self.add_error("password", "Type the password. Clear the user name if the server wants no login.")
        elif username and not password and self._goes_elsewhere(data):
            self.add_error(
                "password",
                f"Type the password again: the stored one is for {self._stored_place()} and is sent nowhere else.",
            )
        elif username and not password:
            try:
                self.instance.password  # noqa: B018  opening it is the question
            except Unopenable:
                self.add_error("password", "The stored password can no longer be opened. Type it again.")
        unprotected = data.get("security") == Security.NONE and bool(username)
        if unprotected and not data.get("accepts_clear_text"):
            self.add_error(
                "accepts_clear_text",
                "Without TLS the password crosses the network readable. Switch this on if you accept that.",
            )

    def get_initial_for_field(self, field: forms.Field, field_name: str) -> Any:
        """What was accepted once for this server stays accepted while it is edited."""
        if field_name == "accepts_clear_text" and self.instance.pk:
            return self.instance.security == Security.NONE and bool(self.instance.username)
        return super().get_initial_for_field(field, field_name)

    def _goes_elsewhere(self, data: dict[str, Any]) -> bool:
        """Whether the stored password would leave for another place, or less protected, than it was typed for."""
        stored = self._stored
        return (data.get("host"), data.get("port"), data.get("security")) != (stored.host, stored.port, stored.security)

    @property
    def _stored(self) -> Endpoint:
        """As the row says; the instance carries the typed values once the form was cleaned."""
        initial = self.initial
        return Endpoint(str(initial.get("host")), int(initial.get("port") or 0), Security(str(initial.get("security"))))

    def _stored_place(self) -> str:
        protection = {"tls": "TLS", "starttls": "STARTTLS", "none": "no protection"}[self._stored.security]
        return f"{self._stored} with {protection}"

    def endpoint(self) -> Endpoint:
        data = self.cleaned_data
        return Endpoint(data["host"], data["port"], Security(data["security"]), timeout=data["timeout"])

    def credentials(self) -> Credentials | None:
        """What is typed, with the stored password where the field was left blank. None: no login."""
        data = self.cleaned_data
        if not data["username"]:
            return None
        typed = Secret(data["password"])
        return Credentials(data["username"], typed if typed else self.instance.password)

    @property
    def is_as_stored(self) -> bool:
        """Whether a check of these values is a check of the saved server."""
        decisive = {"host", "port", "security", "username", "password", "timeout"}
        return bool(self.instance.pk) and decisive.isdisjoint(self.changed_data)

    def save(self, commit: bool = True) -> MailServer:
        """Store the values; what a check depends on marks the server as changed since its last check."""
        server: MailServer = super().save(commit=False)
        if not self.is_as_stored:
            server.changed_at = timezone.now()
        server.organization = self.organization
        if not server.username:
            server.password = Secret("")
        elif self.cleaned_data["password"]:
            server.password = Secret(self.cleaned_data["password"])
        if commit:
            server.save(update_fields=self._written(server))
        return server

    def _written(self, server: MailServer) -> set[str] | None:
        """All columns but the password where that stays: rotating keys may have sealed it anew meanwhile."""
        if server._state.adding or self.cleaned_data["password"] or not server.username:
            return None
        return {field.name for field in server._meta.concrete_fields if not field.primary_key} - {"password"}


def service_values(provider: Provider, typed: dict[str, Any]) -> dict[str, Any]:
    """What choosing a service fills in: its server, and a name where none was typed (spec B3)."""
    return {
        **typed,
        "name": typed.get("name") or provider.name,
        "host": provider.smtp_host,
        "port": provider.smtp_port,
        "security": provider.smtp_security,
        "timeout": provider.smtp_timeout,
    }


def _between(low: int, high: int, words: str = "") -> Callable[[int], None]:
    def check(value: int) -> None:
        if not low <= value <= high:
            raise forms.ValidationError(words or f"Type a whole number from {low} to {high}.")

    return check
