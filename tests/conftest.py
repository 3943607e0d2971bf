"""What every test may ask for: the cast, their mailboxes, their browsers, and the watch over queries and errors.

Alice manages the shared mailbox, Bob may read it, Charlie has nothing to do with it. Dana works somewhere else.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import environment  # first: it decides what the settings read

# isort: split
import django
from django.conf import settings

settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one is slow on purpose
settings.CELERY_TASK_EAGER_PROPAGATES = True
django.setup()

from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts.models import Mailbox, MailboxGrant  # noqa: E402
from organizations.models import Organization, Role, RoleMembership, User  # noqa: E402
from protocols.credentials import Secret  # noqa: E402

PASSWORD = "correct horse battery"
MAIL_FOLDERS = itertools.count(1)

pytest.register_assert_rewrite("tests.servers")
pytest_plugins = [
    "tests.promises",
    "tests.selection",
    "tests.scheduling",
    "tests.economy",
    "tests.databases",
    "tests.queries",
    "tests.errors",
    *(f"tests.servers.{file.stem}" for file in sorted(Path(__file__).parent.glob("servers/[!_]*.py"))),
]


def pytest_unconfigure() -> None:
    environment.clean_up()


@pytest.fixture(autouse=True)
def _own_mail_folder(settings) -> None:
    """Only its name: most tests store no mail."""
    settings.MAIL_DIR = environment.STATE / "mail" / str(next(MAIL_FOLDERS))


@pytest.fixture(autouse=True)
def _no_time_zone_of_the_last_reader() -> Iterator[None]:
    """A request leaves its reader's time zone active until the next one."""
    yield
    timezone.deactivate()


# --- The cast ---------------------------------------------------------------------------------------------------


@pytest.fixture
def organization(db: None) -> Organization:
    return Organization.objects.create(name="Example Ltd")


@pytest.fixture
def other_organization(db: None) -> Organization:
    return Organization.objects.create(name="Elsewhere Inc")


def person(organization: Organization, name: str, domain: str = "example.org") -> User:
    """A user with the password `PASSWORD`."""
    return User.objects.create_user(
        f"{name.lower()}@{domain}", PASSWORD, organization=organization, name=name, time_zone="UTC"
    )


@pytest.fixture
def administrator(organization: Organization) -> User:
    """Holds every operation; sees nobody's mail."""
    user = person(organization, "Ada")
    role, _ = Role.objects.get_or_create(
        organization=organization, is_administrators=True, defaults={"name": "Administrators"}
    )
    RoleMembership.objects.create(role=role, user=user)
    return user


@pytest.fixture
def alice(organization: Organization) -> User:
    """Owns `mailbox`, and holds all three rights on `shared_mailbox`."""
    return person(organization, "Alice")


@pytest.fixture
def bob(organization: Organization) -> User:
    """May read `shared_mailbox`, not send from it or set it up."""
    return person(organization, "Bob")


@pytest.fixture
def charlie(organization: Organization) -> User:
    """A stranger in the same organization."""
    return person(organization, "Charlie")


@pytest.fixture
def dana(other_organization: Organization) -> User:
    """Administrator of the other organization."""
    user = person(other_organization, "Dana", "elsewhere.example")
    role = Role.objects.create(organization=other_organization, name="Administrators", is_administrators=True)
    RoleMembership.objects.create(role=role, user=user)
    return user


# --- Their mailboxes --------------------------------------------------------------------------------------------


@pytest.fixture
def make_mailbox(organization: Organization) -> Callable[..., Mailbox]:
    """`make_mailbox(address, owner=None, **fields)`: a mailbox that can receive and send, on servers nobody dials."""

    def make(address: str = "someone@example.org", owner: User | None = None, **fields: object) -> Mailbox:
        values: dict[str, object] = {
            "organization": owner.organization if owner else organization,
            "owner": owner,
            "address": address,
            "display_name": address.partition("@")[0].title(),
            "imap_host": "imap.example.org",
            "smtp_host": "smtp.example.org",
        }
        mailbox = Mailbox(**{**values, **fields})
        if "password" not in fields:
            mailbox.password = Secret("mailbox-password")
        mailbox.save()
        return mailbox

    return make


@pytest.fixture
def mailbox(make_mailbox: Callable[..., Mailbox], alice: User) -> Mailbox:
    """Alice's own."""
    return make_mailbox("alice@example.org", alice)


@pytest.fixture
def shared_mailbox(make_mailbox: Callable[..., Mailbox], alice: User, bob: User) -> Mailbox:
    """sales@, the organization's: Alice has access, send and setup, Bob has access."""
    mailbox = make_mailbox("sales@example.org", display_name="Sales")
    MailboxGrant.objects.create(mailbox=mailbox, user=alice, may_access=True, may_send=True, may_setup=True)
    MailboxGrant.objects.create(mailbox=mailbox, user=bob, may_access=True)
    return mailbox


# --- Their browsers ---------------------------------------------------------------------------------------------


@pytest.fixture
def client_of() -> Callable[[User], Client]:
    """`client_of(user)`: a Django test client in which `user` has signed in."""

    def sign_in(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture(autouse=True)
def _fresh_cache() -> Iterator[None]:
    yield
    from django.core.cache import cache

    cache.clear()
