"""Mona manages people and is no administrator."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from django.test import Client

from organizations import dialing
from organizations.models import OperationGrant, Organization, Role, RoleMembership, User
from organizations.operations import Operation
from tests.conftest import person
from tests.delivery.sink import Sink, SinkController
from tests.servers.processes import free_port


@pytest.fixture
def mona(organization: Organization, administrator: User) -> User:
    user = person(organization, "Mona")
    OperationGrant.objects.create(operation=Operation.MANAGE_PEOPLE, user=user)
    return user


@pytest.fixture
def sales(organization: Organization) -> Role:
    """A role that gives nothing."""
    return Role.objects.create(organization=organization, name="Sales")


@pytest.fixture
def as_administrator(client_of: Callable[[User], Client], administrator: User) -> Client:
    return client_of(administrator)


@pytest.fixture
def as_mona(client_of: Callable[[User], Client], mona: User) -> Client:
    return client_of(mona)


@pytest.fixture
def account_server(settings) -> Iterator[Sink]:
    """The account-mail transport of this installation: a submission server that takes everything."""
    sink = Sink(port=free_port())
    controller = SinkController(sink, sink.port)
    controller.start()
    settings.DIAL_NETWORKS, settings.DIAL_PORTS = ["127.0.0.0/8"], [sink.port]
    settings.ACCOUNT_MAIL_URL = f"smtp+plain://127.0.0.1:{sink.port}"
    settings.ACCOUNT_MAIL_FROM = "accounts@example.org"
    dialing.dialer.cache_clear()
    yield sink
    controller.stop()
    dialing.dialer.cache_clear()


@pytest.fixture
def give() -> Callable[[User | Role, Operation], None]:
    def grant(holder: User | Role, operation: Operation) -> None:
        to = {"role": holder} if isinstance(holder, Role) else {"user": holder}
        OperationGrant.objects.create(operation=operation, **to)

    return grant


@pytest.fixture
def join() -> Callable[[User, Role], None]:
    return lambda user, role: RoleMembership.objects.create(user=user, role=role)
