"""What is filled in to share a mailbox: with whom, what they may do, and until when."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import Q
from django.utils import timezone

from accounts.models import Mailbox
from accounts.rights import Right
from accounts.sharing import CannotShare
from organizations.models import Role, User
from organizations.plain_words import PlainWords

MATCHES = 20  # people and roles that one search shows of each
MOST_AT_ONCE = 50
_VALUE = re.compile(r"(person|role)-(\d{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A person or role that may be chosen; `known` ones are in the list already."""

    receiver: User | Role
    is_chosen: bool = False
    is_known: bool = False

    @property
    def value(self) -> str:
        return f"{'person' if isinstance(self.receiver, User) else 'role'}-{self.receiver.pk}"

    @property
    def is_role(self) -> bool:
        return isinstance(self.receiver, Role)


def find_candidates(mailbox: Mailbox, text: str, chosen: Iterable[str] = ()) -> list[Candidate]:
    """Those who are chosen, then roles and people whose name or address holds `text`. Five queries."""
    picked = [Candidate(one, is_chosen=True) for one in receivers(mailbox, chosen)]
    values = {one.value for one in picked}
    words = text.replace("\0", "").strip()[:100]
    people = User.objects.filter(organization_id=mailbox.organization_id, is_active=True)
    if mailbox.owner_id is not None:
        people = people.exclude(pk=mailbox.owner_id)
    roles = Role.objects.filter(organization_id=mailbox.organization_id)
    if words:
        people = people.filter(Q(name__icontains=words) | Q(email__icontains=words))
        roles = roles.filter(name__icontains=words)
    grants = mailbox.grants.values_list("user_id", "role_id")
    known = {f"person-{user_pk}" if user_pk else f"role-{role_pk}" for user_pk, role_pk in grants}
    found = [
        *map(Candidate, roles.order_by("name")[:MATCHES]),
        *map(Candidate, people.order_by("name", "pk")[:MATCHES]),
    ]
    others = [replace(one, is_known=one.value in known) for one in found if one.value not in values]
    return picked + sorted(others, key=lambda one: one.is_known)


def receivers(mailbox: Mailbox, values: Iterable[str]) -> list[User | Role]:
    """The people and roles of the mailbox's organization that values such as "person-12" name; no others."""
    named = [match.groups() for match in map(_VALUE.fullmatch, values) if match]
    keys = {kind: [int(pk) for what, pk in named if what == kind] for kind in ("person", "role")}
    mine = Q(organization_id=mailbox.organization_id)
    roles, people = Role.objects.filter(mine, pk__in=keys["role"]), User.objects.filter(mine, pk__in=keys["person"])
    return [*roles.order_by("name"), *people.order_by("name", "pk")]


class LastDayField(forms.DateField):
    """The last day on which something counts, in the time zone of who types it; empty: no end."""

    widget = forms.DateInput(attrs={"type": "date"})
    default_validators = [MinValueValidator(date(1970, 1, 1)), MaxValueValidator(date(2200, 1, 1))]
    default_error_messages = {
        "invalid": "Choose a day, as in 2026-12-31, or leave it empty for no end.",
        "min_value": "Choose a day from today on.",
        "max_value": "Choose a day from today to the year 2200, or leave it empty for no end.",
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(label="Last day", required=False, help_text="Empty: until somebody takes it away.", **kwargs)


def after_last_day(day: date | None) -> datetime | None:
    """The moment at which a grant with this last day ends."""
    return timezone.make_aware(datetime.combine(day + timedelta(days=1), time.min)) if day else None


class EndForm(PlainWords, forms.Form):
    """Until when one grant counts."""

    ends_on = LastDayField()

    @property
    def ends_at(self) -> datetime | None:
        return after_last_day(self.cleaned_data["ends_on"])

    def refuse(self, reason: CannotShare) -> None:
        """Put the reason at the field that it is about."""
        self.add_error(reason.field if reason.field in self.fields else None, str(reason))


class ReceiversField(forms.MultipleChoiceField):
    """Any number of values such as "person-12"; the form looks up whom they name."""

    def valid_value(self, value: object) -> bool:
        return isinstance(value, str)


class GiveForm(EndForm):
    """The dialog behind the plus: people and roles, and the three ticks (spec F1)."""

    to = ReceiversField(label="People and roles", required=False)
    rights = forms.TypedMultipleChoiceField(
        label="They may",
        required=False,
        choices=[(right.value, right.label) for right in Right],
        coerce=Right,
        initial=[Right.ACCESS.value],
        error_messages={"invalid_choice": "“%(value)s” is not one of the three rights."},
    )

    field_order = ["to", "rights", "ends_on"]

    def __init__(self, *args: Any, mailbox: Mailbox, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mailbox = mailbox

    def clean_to(self) -> list[User | Role]:
        values = self.cleaned_data["to"]
        if not values:
            raise ValidationError("Choose at least one person or role.")
        if len(values) > MOST_AT_ONCE:
            raise ValidationError(f"Choose at most {MOST_AT_ONCE} at once.")
        found = receivers(self.mailbox, values)
        if len(found) != len(set(values)):
            raise ValidationError("Somebody you chose does not exist here. Choose people and roles from the list.")
        return found

    @property
    def chosen(self) -> list[str]:
        """What was ticked, to be ticked again."""
        return self.data.getlist("to")[:MOST_AT_ONCE] if self.is_bound and hasattr(self.data, "getlist") else []

    @property
    def ticked(self) -> list[str]:
        return [str(value) for value in self["rights"].value() or ()]
