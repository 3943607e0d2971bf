"""Inviting people by a link (spec A5): signed, for one use, for seven days; only its hash is stored.

Who invites gives away roles, so every step asks again whether that person may; a link whose maker may no longer give
its roles opens nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.core.signing import BadSignature, Signer
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.http import HttpRequest

from organizations import account_mail, audit, authority
from organizations.account_mail import AccountMailFailed
from organizations.models import AuditEntry, Invitation, Organization, Role, User
from organizations.operations import Operation
from organizations.roles import add_member
from organizations.token_hash import hash_of

VALID_FOR = timedelta(days=7)
NOT_AGAIN_WITHIN = timedelta(minutes=1)
SIGNER = Signer(salt="organizations.invitation", sep=".")


class CannotInvite(ValueError):
    """The address is taken or invited already; the text is a sentence for the one who invites."""


class Reason(StrEnum):
    UNKNOWN = "unknown"
    USED = "used"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    UNPROVEN = "unproven"  # the link was passed on, and account mail could show whose the mailbox is
    TAKEN = "taken"  # somebody has an account with the address


class UnusableInvitation(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__(f"This invitation cannot be used: {reason}.")
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """What the invited person sets."""

    name: str
    password: str
    time_zone: str = "UTC"


def invite(
    organization: Organization,
    *,
    name: str,
    email: str,
    roles: Sequence[Role],
    by: User | None,
    now: datetime,
    request: HttpRequest | None = None,
) -> tuple[Invitation, str]:
    """Return the invitation and the token of the link to pass on, which is stored nowhere. Nothing is mailed yet.

    An address with an account in another organization is invited like any other: who invites is not to learn of it.
    Raises CannotInvite, and BeyondAuthority where a role is not `by`'s to give.
    """
    if by is not None:
        _require_roles(by, roles)
    if User.objects.filter(organization=organization, email__iexact=email).exists():
        raise CannotInvite("Somebody in your organization has this address already.")
    token = _new_token()
    try:
        with transaction.atomic():
            invitation = Invitation.objects.create(
                organization=organization,
                email=email,
                name=name,
                token_hash=hash_of(token),
                invited_by=by,
                created_at=now,
                expires_at=now + VALID_FOR,
            )
            invitation.roles.set(roles)
            _record("invitation.created", invitation, by, request, {"roles": [str(role) for role in roles]})
    except IntegrityError as exc:
        raise CannotInvite("This address is invited already. Send that invitation again instead.") from exc
    return invitation, token


def renew(invitation: Invitation, *, by: User, now: datetime, request: HttpRequest | None = None) -> str:
    """Make another link, valid for seven days from now, and return its token. The older links end.

    Raises BeyondAuthority: the link would otherwise make its reader what the actor is not. Raises UnusableInvitation
    when it was accepted or withdrawn meanwhile.
    """
    _require_roles(by, list(invitation.roles.all()))
    token = _new_token()
    values = {"token_hash": hash_of(token), "mailed_hash": "", "expires_at": now + VALID_FOR, "invited_by": by}
    with transaction.atomic():
        if not Invitation.objects.open().filter(pk=invitation.pk).update(**values):
            raise UnusableInvitation(Reason.USED)
        _record("invitation.renewed", invitation, by, request)
    invitation.refresh_from_db()
    return token


def withdraw(invitation: Invitation, *, by: User, now: datetime, request: HttpRequest | None = None) -> bool:
    """End the link; False when it was accepted or withdrawn before. Raises BeyondAuthority."""
    _require_roles(by, list(invitation.roles.all()))
    with transaction.atomic():
        if not Invitation.objects.open().filter(pk=invitation.pk).update(withdrawn_at=now):
            return False
        _record("invitation.withdrawn", invitation, by, request)
    return True


def mail(invitation: Invitation, link_of: Callable[[str], str], *, now: datetime) -> str:
    """Send a link of its own by account mail; return "" or why it did not leave. Waits for the network.

    link_of: the address for a token. Only the newest mailed link works.
    """
    token = _new_token()
    Invitation.objects.filter(pk=invitation.pk).update(mailed_hash=hash_of(token))
    failure = account_mail.PRINTED
    try:
        has_left = account_mail.send(
            "invitation",
            to=(invitation.name, invitation.email),
            organization=invitation.organization,
            context={"invitation": invitation, "link": link_of(token), "days": VALID_FOR.days},
        )
    except AccountMailFailed as exc:
        failure = str(exc)[:500]
    else:
        if has_left:
            failure = ""
            Invitation.objects.filter(pk=invitation.pk).update(mailed_at=now)
    Invitation.objects.filter(pk=invitation.pk).update(failure=failure)
    return failure


def wants_mail(invitation: Invitation, token: str) -> bool:
    """Whether `token` proves too little, so that a mail has to show first who reads the mailbox.

    A link that is passed on by hand may be in the hands of who invited. What an acceptance tells, above all that the
    address signs in elsewhere already, is for the reader of the mailbox alone. With one organization there is no
    elsewhere: where account mail does not get through, the link counts by itself, or nobody could come in. With more
    of them it does not; where account mail is printed, the operator passes the printed link on. The operator's own
    links always count.
    """
    if hash_of(token) == invitation.mailed_hash or invitation.invited_by is None:
        return False
    if Organization.objects.exclude(pk=invitation.organization_id).exists():
        return True
    return not invitation.failure and account_mail.leaves(invitation.email)


def mail_to_reader(invitation: Invitation, link_of: Callable[[str], str], *, now: datetime) -> str:
    """Send a link because who holds one has to show that the mailbox is hers; not again within a minute.

    One that did not leave is tried again at once: the link before it, which arrived, is void by then.
    """
    was_just_mailed = invitation.mailed_at is not None and invitation.mailed_at > now - NOT_AGAIN_WITHIN
    if was_just_mailed and not invitation.failure:
        return ""
    return mail(invitation, link_of, now=now)


def find(token: str, now: datetime) -> Invitation:
    """Return the invitation that `token` opens at `now`. Raises UnusableInvitation."""
    try:
        SIGNER.unsign(token)
    except BadSignature as exc:
        raise UnusableInvitation(Reason.UNKNOWN) from exc
    related = Invitation.objects.select_related("organization", "invited_by")
    digest = hash_of(token)
    invitation = related.filter(Q(token_hash=digest) | Q(mailed_hash=digest)).first()
    if invitation is None:
        raise UnusableInvitation(Reason.UNKNOWN)
    if invitation.accepted_at is not None:
        raise UnusableInvitation(Reason.USED)
    if invitation.withdrawn_at is not None or not _still_backed(invitation):
        raise UnusableInvitation(Reason.WITHDRAWN)
    if invitation.expires_at <= now:
        raise UnusableInvitation(Reason.EXPIRED)
    return invitation


def accept(token: str, newcomer: Newcomer, *, now: datetime, request: HttpRequest | None = None) -> User:
    """Make the user and put the person into the roles. Of two uses at once one raises UnusableInvitation."""
    invitation = find(token, now)
    if wants_mail(invitation, token):
        raise UnusableInvitation(Reason.UNPROVEN)
    digest = hash_of(token)
    try:
        with transaction.atomic():
            mine = Invitation.objects.open().filter(Q(token_hash=digest) | Q(mailed_hash=digest), pk=invitation.pk)
            if not mine.update(accepted_at=now):
                raise UnusableInvitation(Reason.USED)
            user = User.objects.create_user(
                invitation.email,
                newcomer.password,
                organization=invitation.organization,
                name=newcomer.name,
                time_zone=newcomer.time_zone,
            )
            for role in invitation.roles.all():
                add_member(role, user, added_by=invitation.invited_by)
            _record("user.joined", user, user, request)
    except IntegrityError as exc:
        raise UnusableInvitation(Reason.TAKEN) from exc
    return user


def _still_backed(invitation: Invitation) -> bool:
    """Whether the one who invited may still give what the link gives. Links from the command line have no maker."""
    maker = invitation.invited_by
    if maker is None:
        return True
    return maker.may(Operation.MANAGE_PEOPLE) and not authority.refusals_over_roles(maker, invitation.roles.all())


def _require_roles(actor: User, roles: Sequence[Role]) -> None:
    for refusal in authority.refusals_over_roles(actor, roles).values():
        authority.require(refusal)


def _new_token() -> str:
    return SIGNER.sign(secrets.token_urlsafe(24))


def _record(
    action: str,
    target: Invitation | User,
    by: User | None,
    request: HttpRequest | None,
    detail: dict[str, object] | None = None,
) -> None:
    audit.record(
        action,
        organization=target.organization,
        actor=by,
        target=target,
        outcome=AuditEntry.Outcome.DONE,
        detail=detail,
        request=request,
    )
