"""Another address for a person: it counts once somebody opens the link that is mailed there, within a day.

Addresses are unique over all organizations, and no organization learns from another which it has. So whoever asks for
an address is never told that it is in use elsewhere: only the reader of its mailbox is, when the link is opened.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from allauth.account.models import EmailAddress
from django.core.signing import BadSignature, Signer
from django.db import IntegrityError, transaction
from django.http import HttpRequest

from organizations import account_mail, audit, authority
from organizations.account_mail import AccountMailFailed
from organizations.models import AddressChange, User
from organizations.token_hash import hash_of

VALID_FOR = timedelta(days=1)
SIGNER = Signer(salt="organizations.new_address", sep=".")


class UnknownLink(Exception):
    """The link is forged, used, replaced by a newer one, too old, or its asker may no longer ask."""


class AddressTaken(Exception):
    """Somebody signs in with the address already, perhaps elsewhere."""


def ask(
    person: User, email: str, *, by: User, now: datetime, request: HttpRequest | None = None
) -> tuple[AddressChange, str]:
    """Note the address that is wanted; return it and the token of its link, which is stored nowhere.

    Raises BeyondAuthority. Nothing is mailed yet, and whoever else has the address is not looked at. An older wish
    of the person ends.
    """
    authority.require(authority.refusal_to_change(by, person))
    authority.require(authority.refusal_to_readdress(by))
    token = SIGNER.sign(secrets.token_urlsafe(24))
    values = {
        "email": email,
        "token_hash": hash_of(token),
        "asked_by": by,
        "asked_at": now,
        "expires_at": now + VALID_FOR,
        "failure": "",
    }
    with transaction.atomic():
        wish, _ = AddressChange.objects.update_or_create(user=person, defaults=values)
        detail: dict[str, object] = {"email before": person.email, "email wanted": email}
        _record("user.address_asked", person, by, request, detail)
    return wish, token


def withdraw(person: User, *, by: User, request: HttpRequest | None = None) -> bool:
    """End the link; False where there is none. Raises BeyondAuthority."""
    authority.require(authority.refusal_to_change(by, person))
    authority.require(authority.refusal_to_readdress(by))
    with transaction.atomic():
        if not AddressChange.objects.filter(user=person).delete()[0]:
            return False
        _record("user.address_withdrawn", person, by, request)
    return True


def mail(wish: AddressChange, link: str) -> str:
    """Send the link to the new address; return "" or why it did not leave. Waits for the network."""
    failure = account_mail.PRINTED
    try:
        has_left = account_mail.send(
            "confirm_address",
            to=(wish.user.name, wish.email),
            organization=wish.user.organization,
            context={"by": wish.asked_by, "before": wish.user.email, "now": wish.email, "link": link},
        )
    except AccountMailFailed as exc:
        failure = str(exc)[:500]
    else:
        failure = "" if has_left else failure
    AddressChange.objects.filter(pk=wish.pk).update(failure=failure)
    return failure


def find(token: str, now: datetime) -> AddressChange:
    """Return what the link is about. Raises UnknownLink."""
    try:
        SIGNER.unsign(token)
    except BadSignature as exc:
        raise UnknownLink from exc
    wishes = AddressChange.objects.select_related("user__organization", "asked_by")
    wish = wishes.filter(token_hash=hash_of(token), expires_at__gt=now).first()
    if wish is None or not _is_still_backed(wish):
        raise UnknownLink
    return wish


def confirm(token: str, *, now: datetime, request: HttpRequest | None = None) -> tuple[User, str]:
    """Give the person the address; return the person and the address from before.

    Raises UnknownLink, also for the second of two uses at once, and AddressTaken.
    """
    wish = find(token, now)
    person, before = wish.user, wish.user.email
    try:
        with transaction.atomic():
            if not AddressChange.objects.filter(pk=wish.pk, token_hash=wish.token_hash).delete()[0]:
                raise UnknownLink
            person.email = wish.email
            person.save(update_fields=["email"])
            EmailAddress.objects.filter(user=person).delete()  # allauth's notes of the old one still open the account
            _record("user.changed", person, person, request, {"email before": before, "email now": wish.email})
    except IntegrityError as exc:
        raise AddressTaken from exc
    return person, before


def _is_still_backed(wish: AddressChange) -> bool:
    """A link must not outlive the right of who asked for it."""
    by, person = wish.asked_by, wish.user
    if by is None or not by.is_active or not person.is_active:
        return False
    return not (authority.refusal_to_readdress(by) or authority.refusal_to_change(by, person))


def _record(
    action: str, person: User, by: User, request: HttpRequest | None, detail: dict[str, object] | None = None
) -> None:
    audit.record(action, organization=person.organization, actor=by, target=person, detail=detail, request=request)
