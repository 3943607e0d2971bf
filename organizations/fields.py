"""Form fields that refuse what would break out of a line."""

from __future__ import annotations

import unicodedata
from typing import Final

from django import forms
from django.core.exceptions import ValidationError

from organizations.invisible import invisible_in

INVISIBLE: Final = "invisible_character"
INVISIBLE_WORDS: Final = "There is an invisible character in it that can make it look like something else."


def refuse_control_characters(value: str) -> None:
    """Names go into header fields and logs: one line, nothing invisible that steers."""
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in value):
        raise ValidationError("Write this in one line, without line breaks or other control characters.")


def refuse_invisible_characters(value: str) -> None:
    """Names are read by people, who must see all of them (threat T28)."""
    if character := invisible_in(value):
        raise ValidationError(f"{INVISIBLE_WORDS} It is U+{ord(character):04X}.", code=INVISIBLE)


class NameField(forms.CharField):
    """The name of a person, a role or an organization: one line of text."""

    default_validators = [refuse_control_characters, refuse_invisible_characters]
