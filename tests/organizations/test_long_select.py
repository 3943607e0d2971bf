"""A select with many options is what Django draws, in one go."""

from __future__ import annotations

import pytest
from django import forms
from django.test.html import parse_html

from organizations.long_select import LongSelect
from organizations.templatetags.fields import looks_like

CHOICES = [("", "Any"), (1, 'Sales <sales@example.org> & "friends"'), (12, "It's <b>me</b>"), ("x&y", "Other")]


@pytest.mark.parametrize("value", ["", None, 1, "12", "x&y", "gone"])
def test_it_is_drawn_as_django_draws_it(value):
    attrs = {"id": "id_mailbox", "aria-describedby": "id_mailbox_error", "required": True}
    long, plain = (widget(choices=CHOICES, attrs={"class": "wide"}) for widget in (LongSelect, forms.Select))
    drawn = long.render("mailbox", value, attrs)
    assert parse_html(drawn) == parse_html(plain.render("mailbox", value, attrs))
    assert "<b>" not in drawn


def test_pages_show_it_like_every_other_select():
    class Form(forms.Form):
        mailbox = forms.ChoiceField(choices=CHOICES, widget=LongSelect)

    assert looks_like(Form()["mailbox"]) == "select"
