"""Email options of the organization: how often mailboxes sync, who may type servers by hand, and how much mail programs
may send by themselves (spec B3, E10, I8)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from mailstore.models import SyncSchedule
from organizations import audit
from organizations.models import Organization, User
from organizations.operations import Operation
from organizations.plain_words import PlainWords
from organizations.requests import SignedInRequest
from providers.models import HiddenProvider

#: Which operation decides about which option.
OPTIONS = {
    "sync_interval": Operation.MANAGE_EMAIL_ACCOUNTS,
    "automatic_per_recipient": Operation.MANAGE_EMAIL_ACCOUNTS,
    "automatic_per_thread": Operation.MANAGE_EMAIL_ACCOUNTS,
    "allows_typed_servers": Operation.MANAGE_EMAIL_PROVIDERS,
}
MOST_AUTOMATIC = 1000
_A_NUMBER = {"inputmode": "numeric", "autocomplete": "off"}


class OptionsForm(PlainWords, forms.ModelForm):  # type: ignore[type-arg]
    """Offers only what the person may decide."""

    sync_interval = forms.IntegerField(
        label="Sync every (minutes)",
        min_value=1,
        max_value=1440,
        help_text="How often mailboxes are asked for new mail. One may have its own interval in its settings.",
        widget=forms.NumberInput(attrs=_A_NUMBER),
    )
    automatic_per_recipient = forms.IntegerField(
        label="Automatic mails to one address a day",
        min_value=1,
        max_value=MOST_AUTOMATIC,
        help_text="What programs send by themselves, notifications too. More is refused, so that no loop goes on.",
        widget=forms.NumberInput(attrs=_A_NUMBER),
    )
    automatic_per_thread = forms.IntegerField(
        label="Automatic answers in one conversation a day",
        min_value=1,
        max_value=MOST_AUTOMATIC,
        help_text="To one sender it is one a day in any case.",
        widget=forms.NumberInput(attrs=_A_NUMBER),
    )

    class Meta:
        model = Organization
        fields = list(OPTIONS)
        labels = {"allows_typed_servers": "People may type servers by hand"}
        help_texts = {
            "allows_typed_servers": "Off: people choose one of the known providers; only administrators type servers."
        }

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in OPTIONS.keys() - allowed_options(user):
            del self.fields[name]
        if "sync_interval" in self.fields:
            words = "Type 1 to 1440 minutes (a day)."
            codes = ("required", "invalid", "min_value", "max_value")
            self.fields["sync_interval"].error_messages |= dict.fromkeys(codes, words)
        for name in ("automatic_per_recipient", "automatic_per_thread"):
            if name in self.fields:
                words = f"Type 1 to {MOST_AUTOMATIC} mails a day."
                codes = ("required", "invalid", "min_value", "max_value")
                self.fields[name].error_messages |= dict.fromkeys(codes, words)


def allowed_options(user: User) -> set[str]:
    """The options that `user` may change."""
    return {name for name, operation in OPTIONS.items() if user.may(operation)}


@require_http_methods(["GET", "POST"])
def options(request: SignedInRequest) -> HttpResponse:
    user = request.user
    if not allowed_options(user):
        raise PermissionDenied(
            "This page needs the operation “Manage email accounts” or “Manage email providers”. An administrator can "
            "grant it to you."
        )
    own = Organization.objects.get(pk=user.organization_id)  # a refused form must not change what the page shows
    form = OptionsForm(request.POST if request.method == "POST" else None, instance=own, user=user)
    if form.is_valid():
        change_options(form, user, request)
        messages.success(request, "The options are saved.")
        return redirect("email-options")
    hidden = HiddenProvider.objects.filter(organization_id=user.organization_id).count()
    context = {"form": form, "hidden": hidden, "manages_providers": user.may(Operation.MANAGE_EMAIL_PROVIDERS)}
    return render(request, "emailsettings/options.html", context, status=422 if form.is_bound else 200)


def change_options(form: OptionsForm, user: User, request: SignedInRequest | None = None) -> None:
    """Store what a valid form says; a shorter interval counts at once, for mailboxes that would have waited longer."""
    changed = form.changed_data
    if not changed:
        return
    before = {name: form.initial[name] for name in changed}
    with transaction.atomic():
        organization = form.save(commit=False)
        organization.save(update_fields=changed)
        if "sync_interval" in changed:
            _come_sooner(organization)
        audit.record(
            "organization.options_changed",
            organization=organization,
            actor=user,
            target=organization,
            detail={"before": before, "after": {name: form.cleaned_data[name] for name in changed}},
            request=request,
        )


def _come_sooner(organization: Organization) -> None:
    """Nobody waits longer than the new interval, but for those who wait for something else than their turn."""
    latest = timezone.now() + timedelta(minutes=organization.sync_interval)
    waiting = SyncSchedule.objects.filter(
        mailbox__organization=organization, mailbox__sync_interval=None, mailbox__login_refusals=0, waiting_for=""
    )
    waiting.filter(due_at__gt=latest).update(due_at=latest)
