"""Changing one's own profile: the way in for the page and the API (spec A6)."""

from __future__ import annotations

from django.db import transaction
from django.http import HttpRequest

from organizations import audit
from organizations.forms import ProfileForm


def keep(form: ProfileForm, *, request: HttpRequest | None = None) -> None:
    """Store what a valid form says. Nothing changed: nothing is written."""
    if not form.changed_data:
        return
    with transaction.atomic():
        user = form.save(commit=False)
        user.save(update_fields=form.changed_data)
        audit.record(
            "user.profile_changed",
            organization=user.organization,
            actor=user,
            target=user,
            detail={"fields": form.changed_data},
            request=request,
        )
