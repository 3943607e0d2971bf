"""New passwords for people who forgot theirs (spec A5): asked for by anybody, mailed to the account's address alone.

The page does the same for an address that nobody has: it writes a row and nudges a worker, so that neither its words
nor its time tell who has an account.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.urls import reverse

from organizations import account_mail, audit
from organizations.account_mail import AccountMailFailed
from organizations.models import AuditEntry, PasswordRequest, User

log = logging.getLogger(__name__)

FORGOTTEN_AFTER = timedelta(hours=1)  # a request that nobody could serve; its person has asked again
KEPT_FOR = timedelta(days=1)


def request_link(user: User | None, origin: str, now: datetime) -> PasswordRequest:
    """Note that a link is wanted; `user` is None where nobody has the address. The caller nudges the worker."""
    return PasswordRequest.objects.create(user=user, origin=origin, requested_at=now)


def send_link(pk: int, now: datetime) -> None:
    """Mail the link of one request. A second run, or a stale `pk`, does nothing."""
    if not PasswordRequest.objects.filter(pk=pk, settled_at=None).update(settled_at=now):
        return
    request = PasswordRequest.objects.select_related("user__organization").get(pk=pk)
    if request.user is None or not request.user.is_active or request.requested_at < now - FORGOTTEN_AFTER:
        return
    user = request.user
    failure = ""
    try:
        account_mail.send(
            "new_password",
            to=(user.name, user.email),
            organization=user.organization,
            context={"link": request.origin + link_path(user)},
        )
    except AccountMailFailed as exc:
        failure = str(exc)
        log.warning("No link for a new password for user %s: %s", user.pk, exc)
    audit.record(
        "user.password_link_sent",
        organization=user.organization,
        actor=user,
        target=user,
        outcome=AuditEntry.Outcome.FAILED if failure else AuditEntry.Outcome.DONE,
        detail={"reason": failure} if failure else {},
    )


def link_path(user: User) -> str:
    """Where `user` sets a new password; void once the password, the address or the last sign-in changes."""
    token = default_token_generator.make_token(user)
    return reverse("account_reset_password_from_key", args=[user_pk_to_url_str(user), token])


def waiting(now: datetime) -> list[int]:
    """Keys of requests whose nudge was lost. Old ones are dropped on the way."""
    PasswordRequest.objects.filter(requested_at__lt=now - KEPT_FOR).delete()
    lost = PasswordRequest.objects.filter(settled_at=None, requested_at__lt=now - timedelta(seconds=20))
    return list(lost.values_list("pk", flat=True)[:200])
