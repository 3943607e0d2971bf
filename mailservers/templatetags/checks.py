"""Words for checks in templates."""

from __future__ import annotations

from django import template

from mailservers import words

register = template.Library()
register.filter("step_label", words.step_label)
register.filter("who_label", words.who_label)
