"""The filters above the log, read into useful types."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import QuerySet
from django.forms.models import ModelChoiceIterator
from django.utils import timezone

from accounts.models import Mailbox
from delivery.forms import MailboxChoiceField
from delivery.log_filters import Filters
from delivery.states import Origin, State
from organizations.long_select import LongSelect
from organizations.models import User
from organizations.operations import Operation
from organizations.plain_words import PlainWords

ORIGINS = {Origin.PERSON: "People", Origin.API: "Programs (API)", Origin.NOTICE: "Notices of the system"}


class DayField(forms.DateField):
    """A day of our times, picked from a calendar."""

    widget = forms.DateInput(attrs={"type": "date"})
    default_validators = [MinValueValidator(date(1970, 1, 1)), MaxValueValidator(date(2200, 1, 1))]


class _People(ModelChoiceIterator):  # type: ignore[type-arg]
    """Keys and names alone: a row for each of a thousand people would be most of the page's time."""

    def __iter__(self) -> Iterator[tuple[int | str, str]]:  # type: ignore[override]
        yield "", "Anybody"
        yield from self.queryset.order_by("name", "pk").values_list("pk", "name")


class AuthorField(forms.ModelChoiceField):  # type: ignore[type-arg]
    widget = LongSelect
    iterator = _People


class LogFilterForm(PlainWords, forms.Form):
    """The filters above the log. What does not validate filters nothing, and says why."""

    free_text = frozenset({"q", "recipient"})

    q = forms.CharField(
        label="Search", required=False, max_length=200, widget=forms.TextInput(attrs={"type": "search"})
    )
    recipient = forms.CharField(label="Recipient", required=False, max_length=320)
    state = forms.ChoiceField(label="State", required=False, choices=[("", "Any state"), *State.choices])
    mailbox = MailboxChoiceField(Mailbox.objects.none(), label="Email account", required=False, empty_label="Any")
    author = AuthorField(User.objects.none(), label="Written by", required=False)
    origin = forms.ChoiceField(
        label="Sent by",
        required=False,
        choices=[("", "Anything"), *((str(origin), words) for origin, words in ORIGINS.items())],
    )
    since = DayField(label="Since", required=False)
    until = DayField(label="Until", required=False)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        mailbox, author = self.fields["mailbox"], self.fields["author"]
        assert isinstance(mailbox, forms.ModelChoiceField)
        assert isinstance(author, forms.ModelChoiceField)
        mailbox.queryset = Mailbox.objects.visible_to(user, timezone.now())
        author.queryset = authors_for(user)

    @property
    def further(self) -> bool:
        """Whether one of the filters that stand aside at first is in use."""
        return any(self[name].value() for name in ("recipient", "author", "origin"))

    @property
    def in_words(self) -> dict[str, str]:
        """What narrows the log: label -> value, for those who look at a run or at the audit log later."""
        values = self.cleaned_data if self.is_bound and self.is_valid() else {}
        chosen = {name: value for name, value in values.items() if value not in ("", None)}
        names = {"state": dict(State.choices), "origin": {str(origin): words for origin, words in ORIGINS.items()}}
        return {
            str(self.fields[name].label): str(names.get(name, {}).get(str(value), value))
            for name, value in chosen.items()
        }

    def filters(self) -> Filters:
        """What was asked for, in the reader's own time zone; a day ends with its last moment."""
        values = self.cleaned_data if self.is_valid() else getattr(self, "cleaned_data", {})
        since, until = values.get("since"), values.get("until")
        mailbox, author = values.get("mailbox"), values.get("author")
        return Filters(
            state=values.get("state") or "",
            mailbox_pk=mailbox.pk if mailbox else None,
            origin=values.get("origin") or "",
            author_pk=author.pk if author else None,
            text=values.get("q") or "",
            recipient=values.get("recipient") or "",
            since=midnight(since) if since else None,
            until=midnight(until + timedelta(days=1)) if until else None,
        )


def authors_for(user: User) -> QuerySet[User]:
    """Whom one may choose as an author: everybody who sees all mail has all people, the others themselves."""
    people = User.objects.filter(organization_id=user.organization_id)
    return people if user.may(Operation.VIEW_EMAIL_LOGS) else people.filter(pk=user.pk)


def midnight(day: date) -> datetime:
    """When a day begins for the person who asks."""
    return timezone.make_aware(datetime.combine(day, time.min))
