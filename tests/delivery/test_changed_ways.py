"""A way out that was changed frees what waited for the old one, and nothing else (spec B9, I3)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from delivery.models import OutboxMessage, OutboxRecipient, Route
from delivery.states import State
from delivery.tasks import submit_message, submit_route
from mailservers.circuits import OPENS_AFTER, Circuit
from mailservers.models import MailServer
from mailservers.rulebook import load_rules
from protocols.credentials import Secret
from tests.delivery.conftest import states

pytestmark = [pytest.mark.django_db, pytest.mark.proves("I3", "B9")]


@pytest.fixture
def nudged(monkeypatch) -> list[int]:
    """The keys of the routes of which workers were told."""
    told: list[int] = []
    monkeypatch.setattr("delivery.changed_ways.wake_route", told.append)
    return told


@pytest.fixture
def office(organization, sink) -> MailServer:
    return MailServer.objects.create(
        organization=organization, name="Office", host="127.0.0.1", port=sink.port, security="none"
    )


def hold(route: Route) -> Route:
    route.hold(timezone.now() + timedelta(hours=24), "the quota of today is used up.")
    return route


def waits(message: OutboxMessage) -> bool:
    return message.recipients.get().not_before > timezone.now()


@pytest.fixture
def waiting(make_message, sending_mailbox, alice) -> OutboxMessage:
    """Waits for a day, because the quota of its mailbox is used up."""
    message = make_message(sending_mailbox, alice, "bob@example.org")
    hold(Route.objects.leading(sending_mailbox))
    submit_message(message.pk)
    assert waits(message)
    return message


def test_a_mailbox_that_gets_another_server_waits_for_the_old_one_no_longer(
    waiting, sending_mailbox, office, nudged, django_capture_on_commit_callbacks
):
    sending_mailbox.mail_server = office
    with django_capture_on_commit_callbacks(execute=True):
        sending_mailbox.save()
    [route] = nudged
    assert route == Route.objects.through(office).pk
    submit_route(route)
    assert states(waiting) == {"bob@example.org": State.SENT}


@pytest.mark.parametrize(
    ("name", "value"), [("smtp_username", "alice"), ("password", Secret("another-one")), ("smtp_host", "localhost")]
)
def test_an_edited_login_of_a_mailbox_is_asked_at_once(waiting, sending_mailbox, name, value):
    setattr(sending_mailbox, name, value)
    sending_mailbox.save()
    assert not waits(waiting)
    assert Route.objects.get(mailbox=sending_mailbox).held_until is None


def test_a_mailbox_saved_with_nothing_changed_of_its_way_goes_on_waiting(waiting, sending_mailbox):
    sending_mailbox.display_name = "Alice"
    sending_mailbox.save()
    sending_mailbox.refresh_from_db()
    sending_mailbox.save()
    assert waits(waiting)
    assert Route.objects.get(mailbox=sending_mailbox).held_until is not None


def test_raised_limits_free_what_they_held_back(make_message, sending_mailbox, alice, office, sink):
    office.per_day = 1
    office.save()
    sending_mailbox.mail_server = office
    sending_mailbox.save()
    messages = [make_message(sending_mailbox, alice, f"{name}@example.org") for name in ("bob", "carol")]
    route = Route.objects.through(office)
    submit_route(route.pk)
    assert len(sink.taken) == 1
    assert waits(messages[1])
    office.per_day = 5
    office.save()
    submit_route(route.pk)
    assert len(sink.taken) == 2


def test_an_edited_server_is_asked_at_once(make_message, sending_mailbox, alice, office):
    sending_mailbox.mail_server = office
    sending_mailbox.save()
    message = make_message(sending_mailbox, alice, "bob@example.org")
    route = hold(Route.objects.through(office))
    submit_message(message.pk)
    assert waits(message)
    office.timeout = 50
    office.save()
    route.refresh_from_db()
    assert (route.held_until, waits(message)) == (None, False)


def test_a_new_fallback_takes_over_what_waits_for_the_next_look(
    make_message, sending_mailbox, alice, office, organization
):
    broken = MailServer.objects.create(
        organization=organization, name="Broken", host="127.0.0.1", port=1, security="none"
    )
    sending_mailbox.mail_server = broken
    sending_mailbox.save()
    message = make_message(sending_mailbox, alice, "bob@example.org")
    for _ in range(OPENS_AFTER):
        Circuit.objects.note_failure(organization.pk, broken.endpoint(), "Nobody answered.", timezone.now())
    submit_message(message.pk)
    assert waits(message)
    Circuit.objects.update(probe_at=timezone.now() + timedelta(minutes=30))
    broken.fallback = office
    broken.save(update_fields=["fallback"])
    assert not waits(message)
    Circuit.objects.update(probe_at=timezone.now() + timedelta(minutes=30))
    submit_message(message.pk)
    assert states(message) == {"bob@example.org": State.SENT}


def test_the_message_that_met_the_quota_is_freed_with_the_others(make_message, sending_mailbox, alice, sink):
    load_rules()
    sink.mail = "550 5.4.5 Daily user sending limit exceeded."
    message = make_message(sending_mailbox, alice, "bob@example.org")
    submit_message(message.pk)
    assert waits(message)
    sending_mailbox.smtp_username = "alice"
    sending_mailbox.save()
    assert not waits(message)


@pytest.mark.parametrize("words", ["450 4.2.0 Greylisted, see you in five minutes", "451 4.3.0 Try again later"])
def test_a_wait_of_the_messages_own_stays(make_message, sending_mailbox, alice, office, sink, words):
    load_rules()
    sink.recipients = {"bob@example.org": words}
    message = make_message(sending_mailbox, alice, "bob@example.org")
    submit_message(message.pk)
    before = message.recipients.get().not_before
    sending_mailbox.mail_server = office
    sending_mailbox.save()
    assert message.recipients.get().not_before == before
    assert waits(message)


def test_what_was_put_to_another_moment_while_it_waited_keeps_that_moment(waiting, sending_mailbox, office):
    moment = timezone.now() + timedelta(hours=3)
    OutboxMessage.objects.filter(pk=waiting.pk).update(scheduled_for=moment)
    OutboxRecipient.objects.filter(message=waiting).update(not_before=moment)
    sending_mailbox.mail_server = office
    sending_mailbox.save()
    assert waiting.recipients.get().not_before == moment


def test_an_edited_server_that_could_not_be_reached_is_looked_after_at_once(office, organization):
    for _ in range(OPENS_AFTER):
        Circuit.objects.note_failure(organization.pk, office.endpoint(), "It spoke no TLS.", timezone.now())
    Circuit.objects.update(probe_at=timezone.now() + timedelta(minutes=30))
    office.security = "starttls"
    office.save()
    assert Circuit.objects.get().probe_at <= timezone.now()
