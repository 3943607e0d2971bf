"""The switches of the page "Notify me by mail"."""

from __future__ import annotations

from typing import Any

from django import forms

from notifications.kinds import Kind
from notifications.models import MailChoice
from organizations.models import User
from organizations.plain_words import PlainWords


class MailChoicesForm(PlainWords, forms.Form):
    """One switch per kind."""

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chosen = MailChoice.objects.of(user)
        for kind in Kind:
            self.fields[kind.value] = forms.BooleanField(
                label=kind.label, help_text=kind.manner.about, required=False, initial=chosen[kind]
            )

    @property
    def wanted(self) -> dict[Kind, bool]:
        """The choices of a valid form."""
        return {kind: self.cleaned_data[kind.value] for kind in Kind}
