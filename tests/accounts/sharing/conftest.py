"""Somebody who may share, roles with people in them, and the access page as they use it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox, MailboxGrant
from accounts.rights import Right
from accounts.sharing import Sharing
from organizations.models import OperationGrant, Organization, Role, RoleMembership, User
from organizations.operations import Operation

HTMX = {"HX-Request": "true", "HX-Target": "access"}


def may_share(user: User) -> User:
    OperationGrant.objects.create(operation=Operation.SET_UP_SHARED_MAILBOXES, user=user)
    user.__dict__.pop("_operations", None)
    return user


def rights_of(user: User, mailbox: Mailbox) -> set[Right]:
    """As every page asks for them."""
    now = timezone.now()
    return {right for right in Right if Mailbox.objects.allowing(right, user, now).filter(pk=mailbox.pk).exists()}


def grant(mailbox: Mailbox, receiver: User | Role, *rights: Right, **fields: object) -> MailboxGrant:
    """A row, made past every rule. Its mailbox is shared from now on."""
    Mailbox.objects.filter(pk=mailbox.pk).update(is_shared=True)
    whom = {"user" if isinstance(receiver, User) else "role": receiver}
    ticks = {f"may_{right}": True for right in rights}
    made, _ = MailboxGrant.objects.update_or_create(mailbox=mailbox, **whom, defaults={**ticks, **fields})
    return made


@pytest.fixture
def owner(alice: User) -> User:
    """Alice, who owns `mailbox`, and holds the operation."""
    return may_share(alice)


@pytest.fixture
def sales(organization: Organization, charlie: User) -> Role:
    """A role with Charlie in it."""
    role = Role.objects.create(organization=organization, name="Sales")
    RoleMembership.objects.create(role=role, user=charlie)
    return role


@pytest.fixture
def sharing_by() -> Callable[..., Sharing]:
    """`sharing_by(user, mailbox)`: what the user changes, at this moment."""
    return lambda user, mailbox: Sharing(mailbox, user, timezone.now())


class AccessPage:
    """The page of one mailbox, as one person's browser uses it."""

    def __init__(self, client: Client, mailbox: Mailbox) -> None:
        self.client = client
        self.mailbox = mailbox

    def url(self, name: str = "", *args: int) -> str:
        return reverse(f"accounts:access{name and '-'}{name}", args=[self.mailbox.pk, *args])

    def get(self, name: str = "", *args: int, **query: object) -> HttpResponse:
        return self.client.get(self.url(name, *args), query)

    def post(self, name: str, *args: int, **data: object) -> HttpResponse:
        return self.client.post(self.url(name, *args), data)

    def htmx(self, name: str, *args: int, **data: object) -> HttpResponse:
        return self.client.post(self.url(name, *args), data, headers=HTMX)


@pytest.fixture
def page_of(client_of: Callable[[User], Client]) -> Callable[[User, Mailbox], AccessPage]:
    """`page_of(user, mailbox)`: the access page in the user's browser."""
    return lambda user, mailbox: AccessPage(client_of(user), mailbox)
