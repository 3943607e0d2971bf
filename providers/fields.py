"""Form fields for what goes onto the wire: hosts, ports, domains, texts in one line; and the choice of a provider."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.db.models import QuerySet

from protocols.errors import DestinationRefused
from protocols.network import dns_name, literal_address
from providers.models import Provider

Choices = list[tuple[str, Any]]


class HostField(forms.CharField):
    """The name or address of a server, cleaned to its ASCII form (RFC 5891)."""

    def __init__(self, *, example: str = "smtp.example.com", **kwargs: Any) -> None:
        self.example = example
        super().__init__(**{"max_length": 253, **kwargs})

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        plain_words = {"autocapitalize": "none", "autocomplete": "off", "spellcheck": "false"}
        return {**super().widget_attrs(widget), **plain_words}

    def clean(self, value: Any) -> str:
        host = str(super().clean(value))
        if "://" in host or "/" in host:
            raise forms.ValidationError(f"Type only the host name, such as {self.example}, without slashes.")
        if "@" in host:
            raise forms.ValidationError(f"This is an email address; the host looks like {self.example}.")
        if host.count(":") == 1 and literal_address(host) is None:
            raise forms.ValidationError(f"Type only the host name, such as {self.example}; the port has its own field.")
        try:
            return dns_name(host) if host else ""
        except DestinationRefused as exc:
            raise forms.ValidationError(str(exc)) from exc


class PortField(forms.IntegerField):
    """A TCP port, with the words for a wrong one."""

    def __init__(self, *, usual: int, **kwargs: Any) -> None:
        super().__init__(**{"label": "Port", "initial": usual, "min_value": 1, "max_value": 65535, **kwargs})
        words = f"Type a whole number from 1 to 65535; {usual} is usual."
        self.error_messages |= dict.fromkeys(("required", "invalid", "min_value", "max_value"), words)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {**super().widget_attrs(widget), "inputmode": "numeric", "autocomplete": "off"}


class OneLineField(forms.CharField):
    """A user name, a password or a display name: commands and header fields end at a line break."""

    def clean(self, value: Any) -> str:
        text = str(super().clean(value))
        if any(character in text for character in "\r\n"):
            raise forms.ValidationError(f"A line break cannot be part of the {str(self.label or 'value').lower()}.")
        return text


class DomainField(forms.CharField):
    """What stands behind the @, cleaned to lower case and A-labels (RFC 5890). A whole address gives its domain."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 320, **kwargs})

    def clean(self, value: Any) -> str:
        text = str(super().clean(value))
        if "://" in text or "/" in text or ":" in text:
            raise forms.ValidationError("Type only the domain, such as example.com, without slashes and colons.")
        if "*" in text:
            raise forms.ValidationError("Type the domain without *. There is a switch for the names below it.")
        domain = text.rpartition("@")[2]
        if text and not domain:
            raise forms.ValidationError("The domain after the @ is missing, such as example.com.")
        try:
            name = dns_name(domain) if domain else ""
        except DestinationRefused as exc:
            shown = domain[:100]
            raise forms.ValidationError(f"“{shown}” is not a domain; check it for typing errors.") from exc
        if name and ("." not in name or literal_address(name) is not None):
            raise forms.ValidationError(f"“{domain[:100]}” is not a domain; it looks like example.com.")
        return name


def grouped_choices(providers: QuerySet[Provider], empty: str) -> Choices:
    """Choices of a select: the empty one, then what is often used, then all others, each by name."""
    rows = list(providers.order_by("name", "pk").values_list("pk", "name", "often_used"))
    groups: Iterable[tuple[str, bool]] = (("Often used", True), ("All others", False))
    named = ((words, [(pk, name) for pk, name, used in rows if used is often]) for words, often in groups)
    return [("", empty), *((words, choices) for words, choices in named if choices)]
