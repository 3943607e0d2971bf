"""How people sign in: django-allauth, without open registration, and with a trace in the audit log (spec A2, A8)."""

from __future__ import annotations

import logging
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.signals import password_changed, password_reset, user_logged_in
from django.contrib.auth.signals import user_logged_out
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from organizations import audit, throttle
from organizations.models import AuditEntry, User

log = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "account_inactive": "This account is switched off. An administrator can switch it on again.",
        "email_password_mismatch": (
            "This address and this password do not belong together. Check both; capital letters count in the password."
        ),
        "enter_current_password": "This is not your current password.",
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Accounts are made by the first-administrator link and by invitations only."""
        return False

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("organizations:profile")

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """Refuse after too many wrong passwords, and say so in the log: once per pause, not once per attempt."""
        address = str(credentials.get("email") or "")
        known = _user_at(address)
        try:
            attempt = throttle.begin(request, address, known)
        except throttle.TooManyAttempts as exc:
            log.warning("Sign-in slowed down for %s from %s", known.pk if known else "nobody", _client(request))
            pause = f"slowed-down:{exc.limit.name}:{known.pk if known else 0}:{_client(request)}"
            if known is not None and cache.add(pause, True, timeout=exc.limit.period):
                _record_refusal(known, "too many wrong passwords", request)
            raise ValidationError(exc.limit.words) from exc
        user: User | None = super().authenticate(request, **credentials)
        if user is not None:
            attempt.forgive()
        return user

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Nothing of allauth's own: it would count per address from anywhere, so that strangers lock people out."""

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = super().post_login(request, user, **kwargs)
        throttle.remember(request, response, user)
        return response

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Nothing of allauth's own leaves: account mail has its own transport and its own words."""
        log.error("allauth wanted to send %s", template_prefix)

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """Written for the person whose account it is. How often this can happen is bounded by the rate limit."""
        user = _user_at(credentials.get("email", ""))
        log.warning("Sign-in refused for %s from %s", user.pk if user else "nobody", _client(request))
        if user is not None:
            _record_refusal(user, "wrong password" if user.is_active else "switched off", request)


def _user_at(address: str) -> User | None:
    return User.objects.filter(email__iexact=address).select_related("organization").first()


def _client(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR"))


def _record_refusal(user: User, reason: str, request: HttpRequest) -> None:
    audit.record(
        "user.sign_in",
        organization=user.organization,
        actor=user,
        target=user,
        outcome=AuditEntry.Outcome.REFUSED,
        detail={"reason": reason},
        request=request,
    )


def _record(action: str, request: HttpRequest, user: User) -> None:
    audit.record(action, organization=user.organization, actor=user, target=user, request=request)


@receiver(user_logged_in)
def record_sign_in(request: HttpRequest, user: User, **_kwargs: Any) -> None:
    _record("user.sign_in", request, user)


@receiver(user_logged_out)
def record_sign_out(request: HttpRequest, user: User | None, **_kwargs: Any) -> None:
    if user is not None:  # a session that had ended already
        _record("user.sign_out", request, user)


@receiver(password_changed)
def record_password_change(request: HttpRequest, user: User, **_kwargs: Any) -> None:
    _record("user.password_changed", request, user)


@receiver(password_reset)
def record_password_reset(request: HttpRequest, user: User, **_kwargs: Any) -> None:
    _record("user.password_reset", request, user)
