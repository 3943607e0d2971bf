"""What is filled in to make an API token."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import Mailbox
from accounts.tokens import CannotIssue, issue_token
from mailservers.fields import OneLineField
from organizations.models import ApiToken, User
from organizations.plain_words import PlainWords
from organizations.scopes import Scope, opening_something

_KEY = re.compile(r"\d{1,18}", re.ASCII)
LIFETIMES = [("30", "30 days"), ("90", "90 days"), ("365", "A year"), ("", "Until it is revoked")]


class MailboxesField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]
    def clean(self, value: Any) -> Any:
        """What is no key at all, or one that no database has, never comes to a query."""
        if not all(_KEY.fullmatch(str(each)) for each in value or ()):
            raise forms.ValidationError(self.error_messages["invalid_choice"], code="invalid_choice")
        return super().clean(value)


class TokenForm(PlainWords, forms.Form):
    """Offers the scopes that open something for this person, and the mailboxes that the person knows."""

    name = OneLineField(
        label="Name",
        max_length=100,
        help_text="What it is for, such as “Web shop”.",
        error_messages={
            "required": "Type what the token is for, so that you recognise it later.",
            "max_length": "Shorten the name: 100 characters are the limit.",
            "null_characters_not_allowed": "There is a character in the name that cannot be stored. Type it anew.",
        },
    )
    scopes = forms.TypedMultipleChoiceField(
        label="It may",
        coerce=Scope,
        widget=forms.CheckboxSelectMultiple,
        error_messages={
            "required": "Tick at least one thing that it is for.",
            "invalid_choice": "Tick only what is offered here.",
        },
    )
    days = forms.ChoiceField(
        label="Works for",
        choices=LIFETIMES,
        required=False,
        initial="90",
        error_messages={"invalid_choice": "Choose one of the periods of the list."},
    )
    only_mailboxes = forms.BooleanField(
        label="Only for certain mailboxes", required=False, help_text="Off: for all that you may use."
    )
    mailboxes = MailboxesField(
        Mailbox.objects.none(),
        label="Mailboxes",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        error_messages=dict.fromkeys(
            ("invalid_choice", "invalid_pk_value", "invalid_list"),
            "One of the mailboxes is not yours any more. Choose again.",
        ),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        scopes, mailboxes = self.fields["scopes"], self.fields["mailboxes"]
        assert isinstance(scopes, forms.TypedMultipleChoiceField)
        assert isinstance(mailboxes, forms.ModelMultipleChoiceField)
        scopes.choices = [(scope.value, scope.label) for scope in opening_something(user)]
        mailboxes.queryset = Mailbox.objects.visible_to(user, timezone.now())

    @property
    def ticked_scopes(self) -> set[str]:
        return set(self["scopes"].value() or ())

    @property
    def mailbox_lines(self) -> list[tuple[Mailbox, bool]]:
        """Each mailbox, and whether it is ticked."""
        field = self.fields["mailboxes"]
        assert isinstance(field, forms.ModelMultipleChoiceField)
        ticked = {str(value) for value in self["mailboxes"].value() or ()}
        return [(mailbox, str(mailbox.pk) in ticked) for mailbox in field.queryset or ()]

    def issue(self, now: datetime, request: HttpRequest) -> tuple[ApiToken, str] | None:
        """Make the token that the valid form describes; None with an error at its field where none can be made."""
        data = self.cleaned_data
        try:
            return issue_token(
                self.user,
                data["name"],
                data["scopes"],
                now=now,
                expires_at=now + timedelta(days=int(data["days"])) if data["days"] else None,
                mailboxes=data["mailboxes"] if data["only_mailboxes"] else None,
                request=request,
            )
        except CannotIssue as exc:
            self.add_error(exc.field or None, str(exc))
        return None
