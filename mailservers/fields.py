"""The form field for a password; those for hosts, ports and names are the catalog's."""

from __future__ import annotations

from typing import Any

from django import forms

from providers.fields import HostField, OneLineField

__all__ = ["HostField", "OneLineField", "PasswordField"]


class PasswordField(OneLineField):
    """Never shown again, never filled in by the browser with the visitor's own password."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.PasswordInput(attrs={"autocomplete": "off"})
        super().__init__(**{"label": "Password", "max_length": 1000, "strip": False, "widget": widget, **kwargs})
