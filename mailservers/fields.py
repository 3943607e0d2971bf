"""Form fields for what goes onto the wire: host names, user names and passwords in one line."""

from __future__ import annotations

from typing import Any

from django import forms

from protocols.errors import DestinationRefused
from protocols.network import dns_name


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
        try:
            return dns_name(host) if host else ""
        except DestinationRefused as exc:
            raise forms.ValidationError(str(exc)) from exc


class OneLineField(forms.CharField):
    """A user name, a password or a display name: commands and header fields end at a line break."""

    def clean(self, value: Any) -> str:
        text = str(super().clean(value))
        if any(character in text for character in "\r\n"):
            raise forms.ValidationError(f"A line break cannot be part of the {str(self.label or 'value').lower()}.")
        return text


class PasswordField(OneLineField):
    """Never shown again, never filled in by the browser with the visitor's own password."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.PasswordInput(attrs={"autocomplete": "off"})
        super().__init__(**{"label": "Password", "max_length": 1000, "strip": False, "widget": widget, **kwargs})
