"""Form controls that know their hint and their error."""

from __future__ import annotations

from django import template
from django.forms import BoundField
from django.utils.safestring import SafeString

register = template.Library()


@register.filter
def described_by(field: BoundField, hint: str) -> str:
    """The ids of what explains `field`: its hint (given here or as help text) and its errors."""
    ids = []
    if hint or field.help_text:
        ids.append(f"{field.auto_id}_helptext")
    if field.errors:
        ids.append(f"{field.auto_id}_error")
    return " ".join(ids)


@register.simple_tag
def control(
    field: BoundField, hint: str = "", placeholder: str = "", autofocus: object = "", kind: str = ""
) -> SafeString:
    """Render the widget of `field`, tied to its hint and error; `kind` becomes its class."""
    attrs: dict[str, str | bool] = {}
    if described := described_by(field, hint):
        attrs["aria-describedby"] = described
    if placeholder:
        attrs["placeholder"] = placeholder
    if autofocus:
        attrs["autofocus"] = True
    if kind:
        attrs["class"] = kind
    return field.as_widget(attrs=attrs)


@register.filter
def looks_like(field: BoundField) -> str:
    """Which component draws this field: "toggle", "segmented", "select", "hidden" or "input"."""
    if field.is_hidden:
        return "hidden"
    shapes = {"checkbox": "toggle", "radioselect": "segmented", "select": "select", "longselect": "select"}
    return shapes.get(field.widget_type, "input")
