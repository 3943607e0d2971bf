"""The bar that offers Undo, for the frame of every page."""

from __future__ import annotations

from typing import Any

from django import template

from delivery import undo_bar as bar

register = template.Library()


@register.inclusion_tag("delivery/_undo_bar.html", takes_context=True)
def undo_bar(context: template.Context) -> dict[str, Any]:
    """Nothing where nothing was just sent."""
    request = context.get("request")
    lines = bar.shown_on(request) if request is not None else []
    return {"lines": lines, "csrf_token": context.get("csrf_token"), "request": request}
