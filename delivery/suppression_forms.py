"""What is typed above the suppression list and into the dialog that adds to it; and what the composer says of it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.urls import reverse
from django.utils.html import format_html

from delivery import suppression
from delivery.forms import ComposeForm
from delivery.models import Suppression
from delivery.states import Cause
from delivery.suppression import LONGEST_PASTE, MOST_AT_ONCE, NAMED, Filters, read_pasted
from organizations.models import User
from organizations.operations import Operation
from organizations.plain_words import PlainWords


class SuppressionFilterForm(PlainWords, forms.Form):
    """What does not validate filters nothing, and says why."""

    q = forms.CharField(
        label="Search", required=False, max_length=320, widget=forms.TextInput(attrs={"type": "search"})
    )
    cause = forms.ChoiceField(label="Why", required=False, choices=[("", "Any reason"), *Cause.choices])

    def filters(self) -> Filters:
        values = self.cleaned_data if self.is_valid() else getattr(self, "cleaned_data", {})
        return Filters(text=values.get("q") or "", cause=values.get("cause") or "")


class SuppressionForm(PlainWords, forms.Form):
    """Addresses to put on the list, one or thousands."""

    addresses = forms.CharField(
        label="Addresses",
        max_length=LONGEST_PASTE,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "autocapitalize": "none"}),
        help_text=f"Typed or pasted: one a line, a list with commas, or a CSV file. Up to {MOST_AT_ONCE:,} at once.",
    )
    note = forms.CharField(
        label="Why", required=False, max_length=300, help_text="For your colleagues, such as “asked for it by phone”."
    )

    def clean_addresses(self) -> Any:
        pasted = read_pasted(str(self.cleaned_data["addresses"]))
        if pasted.wrong:
            named = ", ".join(f"“{word[:80]}”" for word in pasted.wrong[:NAMED])
            more = len(pasted.wrong) - NAMED
            rest = f" and {more} more are" if more > 0 else " are" if len(pasted.wrong) > 1 else " is"
            raise forms.ValidationError(f"{named}{rest} no email address. Correct it, or take it out.")
        if not pasted.addresses:
            raise forms.ValidationError("There is no email address in it. An address has an @, as in bob@example.com.")
        if len(pasted.addresses) > MOST_AT_ONCE:
            raise forms.ValidationError(
                f"These are {len(pasted.addresses):,} addresses; add at most {MOST_AT_ONCE:,} at once."
            )
        return pasted.addresses


def refuse_suppressed(form: ComposeForm, user: User) -> bool:
    """Tell at each field of a filled-in composer who gets no mail, so that nobody believes it was sent.

    True when there is anybody. Who may take addresses off the list finds the way beside the sentence. One query.
    """
    typed = [one.address for addresses in form.recipients.values() for one in addresses]
    rows = suppression.among(user.organization_id, typed)
    for name, addresses in form.recipients.items():
        for one in addresses:
            if row := rows.get(one.address):
                form.add_error(name, _told(row, user))
    return bool(rows)


def _told(row: Suppression, user: User) -> str:
    sentence = f"{row} is on the suppression list, so it would get nothing. {suppression.why(row)}"
    if not user.may(Operation.MANAGE_EMAIL_ACCOUNTS):
        return f"{sentence} Take the address out, or ask somebody who manages email accounts."
    return format_html(
        '{} Take the address out, or <a class="link" href="{}" hx-get="{}" hx-target="#dialog-body" data-opens-dialog>'
        "take it off the list</a>.",
        sentence,
        *2 * (reverse("delivery:suppression-remove", args=[row.pk]),),
    )
