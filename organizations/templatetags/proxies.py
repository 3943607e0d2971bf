"""A note for administrators about proxies that are declared wrongly."""

from __future__ import annotations

from django import template

from organizations import proxies

register = template.Library()
register.simple_tag(proxies.noted, name="proxies_misfit")
