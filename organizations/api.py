"""`/people` and `/invitations` of the API: what the pages about people do (spec A2, A4, A5, L1)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from ninja import Query, Router, Status
from pydantic import Field

from organizations import authority, granting, invitations, links, people
from organizations.calls import ApiRequest, Listing, Problem, Text, form_values, invalid, invalid_form, needs
from organizations.invitations import CannotInvite, UnusableInvitation
from organizations.models import Invitation, User
from organizations.operations import OFFERED, Operation
from organizations.paging import in_key_order
from organizations.people_forms import InviteForm, PersonForm
from organizations.resources import (
    InvitationList,
    InvitationWithLink,
    NewInvitation,
    PersonChanges,
    PersonDocument,
    PersonList,
    Renewal,
    invitation_document,
    person_document,
)
from organizations.roles import LastAdministrator
from organizations.scopes import Scope

router = Router(tags=["People"])
reads = needs(Scope.PEOPLE_READ, Operation.MANAGE_PEOPLE)
writes = needs(Scope.PEOPLE_WRITE, Operation.MANAGE_PEOPLE)


class PeopleListing(Listing):
    email: Text = Field("", max_length=254, description="Only the person with this address.")


@router.get("/people", auth=reads, operation_id="people_list", response=PersonList)
def people_list(request: ApiRequest, listing: Query[PeopleListing]) -> PersonList:
    """The people of the organization, deactivated ones too."""
    found = User.objects.filter(organization_id=request.user.organization_id)
    if listing.email:
        found = found.filter(email__iexact=listing.email)
    found = found.prefetch_related("memberships", "operation_grants")
    page = in_key_order(found, listing.checked_cursor, size=listing.limit)
    return PersonList(items=[person_document(user) for user in page.rows], next=page.next or None)


@router.post("/people", auth=writes, operation_id="people_invite", response={201: InvitationWithLink})
def people_invite(request: ApiRequest, body: NewInvitation) -> Status[InvitationWithLink]:
    """Invite somebody by a link that works once, for seven days. Only this answer has it."""
    values = body.model_dump(exclude={"sends_mail"})
    form = InviteForm(values, user=request.user)
    if not form.is_valid():
        raise invalid_form(form)
    try:
        invitation, token = invitations.invite(
            request.user.organization, **form.cleaned_data, by=request.user, now=timezone.now(), request=request
        )
    except CannotInvite as exc:
        raise invalid("email", str(exc)) from exc
    return Status(201, _with_link(request, invitation, token, by_mail=body.sends_mail))


@router.get("/people/{int:pk}", auth=reads, operation_id="people_get", response=PersonDocument)
def people_get(request: ApiRequest, pk: int) -> PersonDocument:
    """One person."""
    return person_document(person_or_404(request, pk))


@router.patch("/people/{int:pk}", auth=writes, operation_id="people_update", response=PersonDocument)
def people_update(request: ApiRequest, pk: int, body: PersonChanges) -> PersonDocument:
    """Change a person's name. The address is changed on the person's page, by administrators."""
    person = person_or_404(request, pk)
    authority.require(authority.refusal_to_change(request.user, person))
    values = form_values(PersonForm(person=person, user=request.user), body.sent)
    form = PersonForm(values, person=person, user=request.user)
    if not form.is_valid():
        raise invalid_form(form)
    people.rename(person, form.cleaned_data["name"], by=request.user, request=request)
    return person_document(person)


@router.delete("/people/{int:pk}", auth=writes, operation_id="people_remove", response={204: None})
def people_remove(request: ApiRequest, pk: int) -> Status[None]:
    """Remove a person with everything that is the person's alone. To deactivate keeps it."""
    with keeping_an_administrator():
        people.remove(person_or_404(request, pk), by=request.user, now=timezone.now(), request=request)
    return Status(204, None)


@router.post("/people/{int:pk}/deactivate", auth=writes, operation_id="people_deactivate", response=PersonDocument)
def people_deactivate(request: ApiRequest, pk: int) -> PersonDocument:
    """Let a person no longer sign in: sessions and tokens end at once, and the person's mailboxes stop syncing."""
    with keeping_an_administrator():
        people.deactivate(person_or_404(request, pk), by=request.user, now=timezone.now(), request=request)
    return person_document(person_or_404(request, pk))


@router.post("/people/{int:pk}/reactivate", auth=writes, operation_id="people_reactivate", response=PersonDocument)
def people_reactivate(request: ApiRequest, pk: int) -> PersonDocument:
    """Let a person sign in again, with the password from before."""
    people.reactivate(person_or_404(request, pk), by=request.user, request=request)
    return person_document(person_or_404(request, pk))


@router.put(
    "/people/{int:pk}/operations/{operation}",
    auth=writes,
    operation_id="people_give_operation",
    response=PersonDocument,
)
def people_give_operation(request: ApiRequest, pk: int, operation: Operation) -> PersonDocument:
    """Give a person an operation that you hold. Harmless when repeated."""
    granting.give(offered(operation), person_or_404(request, pk), by=request.user, request=request)
    return person_document(person_or_404(request, pk))


@router.delete(
    "/people/{int:pk}/operations/{operation}",
    auth=writes,
    operation_id="people_take_operation",
    response=PersonDocument,
)
def people_take_operation(request: ApiRequest, pk: int, operation: Operation) -> PersonDocument:
    """Take an operation from a person. What the person has through a role stays."""
    granting.take(offered(operation), person_or_404(request, pk), by=request.user, request=request)
    return person_document(person_or_404(request, pk))


@router.get("/invitations", auth=reads, operation_id="invitations_list", response=InvitationList)
def invitations_list(request: ApiRequest, listing: Query[Listing]) -> InvitationList:
    """Who is invited and has not accepted yet. Those that ran out are here too: they can be renewed."""
    found = Invitation.objects.open().filter(organization_id=request.user.organization_id).prefetch_related("roles")
    page = in_key_order(found, listing.checked_cursor, size=listing.limit)
    return InvitationList(items=[invitation_document(each) for each in page.rows], next=page.next or None)


@router.post("/invitations/{int:pk}/renew", auth=writes, operation_id="invitations_renew", response=InvitationWithLink)
def invitations_renew(request: ApiRequest, pk: int, body: Renewal) -> InvitationWithLink:
    """Make a new link, for seven days from now. The older one ends."""
    invitation = _invitation_or_404(request, pk)
    try:
        token = invitations.renew(invitation, by=request.user, now=timezone.now(), request=request)
    except UnusableInvitation as exc:
        raise _gone() from exc
    return _with_link(request, invitation, token, by_mail=body.sends_mail)


@router.delete("/invitations/{int:pk}", auth=writes, operation_id="invitations_withdraw", response={204: None})
def invitations_withdraw(request: ApiRequest, pk: int) -> Status[None]:
    """End an invitation: its link opens nothing any more."""
    invitation = _invitation_or_404(request, pk)
    if not invitations.withdraw(invitation, by=request.user, now=timezone.now(), request=request):
        raise _gone()
    return Status(204, None)


@contextmanager
def keeping_an_administrator() -> Iterator[None]:
    """Somebody has to administer the organization: what would leave it without anybody is refused with 409."""
    try:
        yield
    except LastAdministrator as exc:
        raise Problem(409, "last-administrator", "This is the last administrator.", str(exc.message)) from exc


def person_or_404(request: ApiRequest, pk: int) -> User:
    return get_object_or_404(User, pk=pk, organization_id=request.user.organization_id)


def offered(operation: Operation) -> Operation:
    """Raises Invalid for those that open nothing yet."""
    if operation not in OFFERED:
        raise invalid("operation", f"Nothing needs this operation yet. There are {', '.join(OFFERED)}.")
    return operation


def _invitation_or_404(request: ApiRequest, pk: int) -> Invitation:
    return get_object_or_404(Invitation.objects.open(), pk=pk, organization_id=request.user.organization_id)


def _with_link(request: ApiRequest, invitation: Invitation, token: str, *, by_mail: bool) -> InvitationWithLink:
    link = _link(request, token)
    if by_mail:
        invitations.mail(invitation, partial(_link, request), now=timezone.now())
        invitation.refresh_from_db()
    return InvitationWithLink(**invitation_document(invitation).model_dump(), link=link)


def _link(request: ApiRequest, token: str) -> str:
    return links.origin(request) + reverse("organizations:invitation", args=[token])


def _gone() -> Problem:
    return Problem(409, "changed-meanwhile", "This invitation was accepted or withdrawn meanwhile.")
