"""Every way in which a right can end, against every route that shows mail (spec F3, threats T18 and T19).

The routes are those of the declared table (`emailsettings/permissions.txt`), so that a new one is walked by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from django.conf import settings
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox, MailboxGrant
from accounts.rights import Right
from accounts.sharing import Sharing
from delivery.models import OutboxMessage
from delivery.states import State
from delivery.tasks import submit_message
from emailsettings import events
from mailstore.inline_images import address_of
from mailstore.models import Message
from organizations.models import Organization, Role, User
from organizations.roles import add_member, deactivate, remove_member
from tests.delivery.conftest import make_message  # noqa: F401  a fixture
from tests.mailstore.panel.conftest import deliver  # noqa: F401  a fixture
from tests.permissions.conftest import IN_MAIL, IN_OUTBOX, IN_SETTINGS, World, world  # noqa: F401  a fixture
from tests.permissions.table import Row, rows

#: Routes that a stranger of the organization does not even know of.
CLOSED = [row for row in rows() if (row.cells["anonymous"], row.cells["stranger"]) == ("login", "404")]
SHOWING_MAIL = [row for row in CLOSED if row.method == "GET" and row.cells["access"] == "200"]
WITH_A_FORM = {"delivery:reply", "delivery:forward"}  # what is typed there must survive the way back
SECRETS = (IN_MAIL, IN_OUTBOX, IN_SETTINGS)


@dataclass
class Ending:
    """A colleague with all three rights on the mailbox, which is about to end; everybody else in the world stays."""

    world: World
    user: User
    mailbox: Mailbox
    role: Role
    client: Client

    @classmethod
    def of(cls, world: World) -> Ending:  # noqa: F811
        """Signed in before anything ends, as somebody with an open browser is."""
        user, client = world.people["stranger"], Client()
        client.force_login(user)
        mailbox = Mailbox.objects.get(pk=world.things["mailbox"])
        role = Role.objects.create(organization=world.organization, name="Interns")
        return cls(world, user, mailbox, role, client)

    @property
    def grant(self) -> MailboxGrant:
        return self.mailbox.grants.get(user=self.user)

    @property
    def sharing(self) -> Sharing:
        return Sharing(self.mailbox, self.world.people["administrator"], timezone.now())

    def give(self, *, by_role: bool) -> None:
        if by_role:
            add_member(self.role, self.user, added_by=None)
        self.sharing.give([self.role if by_role else self.user], list(Right), None)

    def url(self, row: Row) -> str:
        return reverse(row.route, kwargs={name: self.world.value(word) for name, word in row.arguments.items()})

    def ask(self, row: Row) -> HttpResponse:
        return self.client.generic(row.method, self.url(row))

    def addresses(self) -> list[str]:
        """Pages that stay, and must no longer show anything of the mailbox."""
        search = reverse("mailstore:search")
        names = ("home", "email-settings", "mailstore:mail", "delivery:email-log", "delivery:compose")
        return [f"{search}?q={IN_MAIL}", *(reverse(name) for name in names)]


def _untick(case: Ending) -> None:
    for right in Right:
        case.sharing.set_right(case.grant.pk, right, on=False)


def _move(case: Ending) -> None:
    elsewhere = Organization.objects.create(name="Moved to")
    User.objects.filter(pk=case.user.pk).update(organization=elsewhere)


def _expire(case: Ending) -> None:
    case.mailbox.grants.update(ends_at=timezone.now())


#: What ends the right -> (whether it came through a role, how it ends).
WAYS: dict[str, tuple[bool, Callable[[Ending], object]]] = {
    "taken off the list": (False, lambda case: case.sharing.take_away(case.grant.pk)),
    "unticked": (False, _untick),
    "shared access off": (False, lambda case: case.sharing.switch(on=False)),
    "expired": (False, _expire),
    "deactivated": (False, lambda case: deactivate(case.user)),
    "moved to another organization": (False, _move),
    "role taken off the list": (
        True,
        lambda case: case.sharing.take_away(case.mailbox.grants.get(role=case.role).pk),
    ),
    "role expired": (True, _expire),
    "left the role": (True, lambda case: remove_member(case.role, case.user)),
    "role deleted": (True, lambda case: case.role.delete()),
    "shared access off for a role": (True, lambda case: case.sharing.switch(on=False)),
    "deactivated in a role": (True, lambda case: deactivate(case.user)),
}


@pytest.fixture(params=WAYS)
def ending(request: pytest.FixtureRequest, world: World) -> tuple[Ending, Callable[[], None]]:  # noqa: F811
    """Somebody who holds the rights, and what ends them."""
    by_role, end = WAYS[request.param]
    case = Ending.of(world)
    case.give(by_role=by_role)

    def ends() -> None:
        end(case)
        case.user = User.objects.get(pk=case.user.pk)

    return case, ends


@pytest.mark.proves("F3", "T18")
@pytest.mark.sampled(4)
def test_every_route_that_shows_mail_closes_at_once(ending):
    case, ends = ending
    assert len(SHOWING_MAIL) >= 6
    before = {str(row): case.ask(row) for row in SHOWING_MAIL}
    assert {answer.status_code for answer in before.values()} == {200}
    assert IN_MAIL in case.client.get(case.addresses()[0]).content.decode()
    ends()
    signed_in = case.user.is_active
    for row in CLOSED:
        with _undone():
            answer = case.ask(row)
        assert (answer.status_code == 404) if signed_in else _is_sent_to_sign_in(answer), str(row)
        assert not _told(answer), str(row)
    for url in case.addresses():
        answer = case.client.get(url, follow=signed_in)
        assert (answer.status_code == 200) if signed_in else _is_sent_to_sign_in(answer), url
        assert not [word for word in _told(answer) if f"q={word}" not in url], url


@pytest.mark.proves("F3", "T18")
def test_no_browser_keeps_a_copy_of_a_page_that_shows_mail(world):  # noqa: F811
    case = Ending.of(world)
    case.give(by_role=False)
    keeping = []
    for url in (case.addresses()[0], *(case.url(row) for row in SHOWING_MAIL if row.route not in WITH_A_FORM)):
        answer = case.client.get(url)
        if set(_told(answer)) - {IN_SETTINGS} and "no-store" not in answer.get("Cache-Control", ""):
            keeping.append(url)
    assert not keeping


@pytest.mark.proves("F3", "T18")
def test_an_image_whose_address_was_signed_before_is_refused(ending):
    case, ends = ending
    message = Message.objects.get(pk=case.world.things["message"])
    url = address_of(message, message.attachments.get(cid="logo@example.com").path, case.user)
    assert Client().get(url).status_code == 200
    ends()
    assert Client().get(url).status_code == 404


@pytest.mark.proves("F3", "T18")
def test_open_pages_hear_no_more_of_it(ending):
    case, ends = ending
    news = [
        ("mailbox", case.mailbox.pk),
        ("folder", case.world.things["folder"]),
        ("outbox", case.world.things["sent"]),
    ]
    assert all(events.may_know(case.user, *one) for one in news)
    ends()
    assert not any(events.may_know(case.user, *one) for one in news)


@pytest.mark.proves("F3", "T19")
def test_what_waits_to_be_sent_is_not_sent(ending, make_message):  # noqa: F811
    case, ends = ending
    message = make_message(case.mailbox, case.user, "bob@example.org")
    ends()
    submit_message(message.pk)
    recipient = message.recipients.get()
    assert recipient.state == State.FAILED
    assert "is not permitted to send from" in recipient.note
    assert message.attempts.get().phase == "before connecting"


@pytest.mark.proves("F3", "T19")
def test_a_composer_that_was_open_sends_nothing_more(ending):
    case, ends = ending
    values = {
        "mailbox": case.mailbox.pk,
        "to": "bob@example.org",
        "subject": "Late",
        "text": "Too late",
        "submission_key": "a-key",
    }
    ends()
    answer = case.client.post(reverse("delivery:compose"), values)
    assert answer.status_code == 422 if case.user.is_active else _is_sent_to_sign_in(answer)
    assert not OutboxMessage.objects.filter(subject="Late").exists()


@contextmanager
def _undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def _told(answer: HttpResponse) -> list[str]:
    text = "" if answer.streaming else answer.content.decode(errors="replace")
    return [word for word in SECRETS if word in text]


def _is_sent_to_sign_in(answer: HttpResponse) -> bool:
    return answer.status_code == 302 and answer["Location"].startswith(reverse(settings.LOGIN_URL))
