"""Pages that nobody keeps: no browser, no proxy."""

from __future__ import annotations

from typing import Final

from django.views.decorators.cache import cache_control

#: For every page that shows mail: the right to see it can end at any moment, and a copy would not notice (spec F3).
#: Not for pages with a form that is filled in by hand: with it browsers would forget what was typed on the way back.
private: Final = cache_control(private=True, no_store=True)
