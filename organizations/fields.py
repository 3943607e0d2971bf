"""Form fields that refuse what would break out of a line."""

from __future__ import annotations

import unicodedata

from django import forms
from django.core.exceptions import ValidationError


def refuse_control_characters(value: str) -> None:
    """Names go into header fields and logs: one line, nothing invisible that steers."""
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in value):
        raise ValidationError("Write this in one line, without line breaks or other control characters.")


class NameField(forms.CharField):
    """The name of a person, a role or an organization: one line of text."""

    default_validators = [refuse_control_characters]
