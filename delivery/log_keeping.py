"""How long the log keeps what: the form of the page, also read by the API, and storing what it says (spec I9)."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db import transaction

from delivery.models import LogRetention
from organizations import audit
from organizations.models import User
from organizations.plain_words import PlainWords
from organizations.requests import SignedInRequest

SHORTEST, LONGEST = 1, 36_500  # days
WRONG = "Type a number of days from 1 to 36500, or leave it empty to keep it for ever."


class RetentionForm(PlainWords, forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = LogRetention
        fields = ["octets_days", "rows_days"]
        labels = {"octets_days": "Keep texts and attachments (days)", "rows_days": "Keep entries of the log (days)"}
        help_texts = {
            "octets_days": "Then a mail can no longer be read or sent again from the log. Empty: for ever.",
            "rows_days": "Then the log forgets that it was sent. Empty: for ever.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in self._meta.fields or ():
            self.fields[name] = forms.IntegerField(
                label=self.fields[name].label,
                help_text=self.fields[name].help_text,
                required=False,
                min_value=SHORTEST,
                max_value=LONGEST,
                widget=forms.NumberInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
                error_messages=dict.fromkeys(("invalid", "min_value", "max_value"), WRONG),
            )

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        octets, rows = values.get("octets_days"), values.get("rows_days")
        if rows is not None and "octets_days" in values and (octets is None or octets > rows):
            self.add_error(
                "octets_days", f"A text goes with its entry at the latest: type at most {rows}, or keep entries longer."
            )
        return values


def store(form: RetentionForm, user: User, request: SignedInRequest | None = None) -> LogRetention:
    """Keep what a valid form says."""
    kept: LogRetention = form.instance
    if form.changed_data or kept._state.adding:
        with transaction.atomic():
            kept.save()
            audit.record(
                "email_log.retention_changed",
                organization=user.organization,
                actor=user,
                target=user.organization,
                detail={
                    "before": {name: form.initial.get(name) for name in form.changed_data},
                    "after": {name: form.cleaned_data[name] for name in form.changed_data},
                },
                request=request,
            )
    return kept
