"""The filters above the audit log."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.db.models.functions import Lower
from django.utils import timezone

from organizations.audit_log import NOBODY, Filters
from organizations.audit_words import ACTIONS
from organizations.fields import refuse_control_characters
from organizations.models import AuditEntry, Organization, User
from organizations.plain_words import HIDDEN, PlainWords

FIRST_YEAR, LAST_YEAR = 1970, 9000


class DayField(forms.DateField):
    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")

    def validate(self, value: Any) -> None:
        super().validate(value)
        if value is not None and not FIRST_YEAR <= value.year <= LAST_YEAR:
            raise forms.ValidationError("Choose a day from the calendar.")


class AuditFilterForm(PlainWords, forms.Form):
    """What does not validate filters nothing, and says why."""

    person = forms.TypedChoiceField(label="Person", required=False, coerce=int, empty_value=None)
    action = forms.ChoiceField(
        label="Action",
        required=False,
        choices=[("", "Any"), *((group, [*each.items()]) for group, each in ACTIONS.items())],
    )
    name = forms.CharField(
        label="What it was done to", required=False, max_length=320, validators=[refuse_control_characters]
    )
    outcome = forms.ChoiceField(label="Outcome", required=False, choices=[("", "Any"), *AuditEntry.Outcome.choices])
    since = DayField(label="Since", required=False)
    until = DayField(label="Until", required=False)
    # One thing, "mailbox:12", as the list links to it.
    object = forms.RegexField(
        r"[a-z_]{1,60}:[\w.-]{1,40}\Z", required=False, widget=forms.HiddenInput, error_messages={"invalid": HIDDEN}
    )

    def __init__(self, *args: Any, organization: Organization, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = User.objects.filter(organization=organization).order_by(Lower("name"), "pk")
        field = self.fields["person"]
        assert isinstance(field, forms.TypedChoiceField)
        field.choices = [
            ("", "Anybody"),
            *((person.pk, str(person)) for person in people.only("name", "email")),
            (NOBODY, "The system, and people removed since"),
        ]

    def filters(self) -> Filters:
        """What was asked for, in the reader's own time zone; a day ends with its last moment."""
        self.is_valid()
        values = self.cleaned_data
        kind, _, key = (values.get("object") or "").partition(":")
        since, until = values.get("since"), values.get("until")
        return Filters(
            actor_pk=values.get("person"),
            action=values.get("action") or "",
            outcome=values.get("outcome") or "",
            object_type=kind,
            object_id=key,
            object_name=(values.get("name") or "").strip(),
            since=timezone.make_aware(datetime.combine(since, time.min)) if since else None,
            until=timezone.make_aware(datetime.combine(until + timedelta(days=1), time.min)) if until else None,
        )
