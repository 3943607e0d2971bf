"""Proving that account mail leaves (spec A5)."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from organizations import account_mail, audit
from organizations.account_mail import AccountMailFailed
from organizations.models import AuditEntry
from organizations.requests import SignedInRequest
from organizations.views.people import manages_people


@require_POST
@manages_people
def test_account_mail(request: SignedInRequest) -> HttpResponse:
    """Send a message to the one who asks; what became of it stands on the people page."""
    user, failure, has_left = request.user, "", False
    try:
        has_left = account_mail.send("test", to=(user.name, user.email), organization=user.organization, context={})
    except AccountMailFailed as exc:
        failure = str(exc)
    audit.record(
        "account_mail.tested",
        organization=user.organization,
        actor=user,
        target=user.organization,
        outcome=AuditEntry.Outcome.FAILED if failure else AuditEntry.Outcome.DONE,
        detail={"reason": failure} if failure else {},
        request=request,
    )
    if failure:
        messages.error(request, failure)
    elif not has_left:
        messages.warning(request, account_mail.PRINTED)
    else:
        messages.success(request, f"A test message is on its way to {user.email}.")
    return redirect("organizations:people")
