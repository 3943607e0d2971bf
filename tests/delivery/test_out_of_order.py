"""Ways out that take nothing at present: no message fails for it, who can mend it is told once, and few are lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.models import Mailbox
from delivery import dispatching
from delivery.ledger import Ledger
from delivery.models import Attempt, OutboxRecipient, Route
from delivery.retrying import LATE, ONCE_LATER, next_try
from delivery.states import State
from delivery.submission import Line
from delivery.tasks import submit_message, submit_route
from delivery.ways import Way, way_of
from mailservers.circuits import OPENS_AFTER, Circuit
from mailservers.models import MailServer
from mailservers.rulebook import load_rules
from notifications.models import Notification
from protocols.credentials import Secret
from protocols.diagnosis import Retry
from protocols.errors import LoginRefused
from tests.delivery.conftest import states
from tests.delivery.hostile.script import Script, honest, read
from tests.servers.scripted import scripted

pytestmark = [pytest.mark.django_db, pytest.mark.proves("I3")]

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
BROKEN = {
    "web server": "GREETING\nS: HTTP/1.1 502 Bad Gateway\nCLOSE",
    "greets with a refusal": "GREETING\nS: 554 5.3.2 no service here just now\nCLOSE",
    "refuses our name": "ON EHLO *\nS: 550 5.7.1 we do not like your name",
    "takes no password": "ON EHLO *\nS: 250-sink\nS: 250 SIZE",
}
HANGS_UP = "ON DATA\nS: 354 go on\nMESSAGE\nCLOSE"


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A turn takes as long as it takes, also on a busy machine."""
    monkeypatch.setattr(dispatching, "TURN", 3600.0)


@pytest.fixture
def clock(time_machine):
    time_machine.move_to(NOW, tick=False)
    return time_machine


@pytest.fixture
def serving(may_dial) -> Iterator[Callable[[str], tuple[int, Script]]]:
    """`serving(blocks)`: the port of an honest server that differs in these, and what it has seen."""
    with ExitStack() as stack:

        def serve(blocks: str) -> tuple[int, Script]:
            server = read("one", f"One.\n\n{blocks}\n") if blocks else honest()
            port = stack.enter_context(scripted(server.play)).port
            may_dial(port)
            return port, server

        yield serve


@pytest.fixture
def behind(serving, make_mailbox, alice) -> Callable[..., Mailbox]:
    """`behind(blocks)`: Alice's mailbox, sending through such a server."""
    load_rules()

    def make(blocks: str, security: str = "none") -> Mailbox:
        port, _ = serving(blocks)
        return make_mailbox(
            "alice@example.org", alice, smtp_host="127.0.0.1", smtp_port=port, smtp_security=security, imap_host=""
        )

    return make


def take_turns(mailbox: Mailbox, number: int) -> None:
    """Let workers come as often as that, whenever something waits for its next try."""
    for _ in range(number):
        OutboxRecipient.objects.filter(state=State.QUEUED).update(not_before=timezone.now())
        Circuit.objects.update(probe_at=timezone.now())
        submit_route(Route.objects.leading(mailbox).pk)


def outcomes() -> set[str]:
    return set(OutboxRecipient.objects.values_list("state", flat=True))


@pytest.mark.proves("R18")
@pytest.mark.parametrize("how", BROKEN)
def test_a_server_that_is_broken_before_any_message_fails_none_and_its_owner_is_told_once(
    how, behind, make_message, alice
):
    mailbox = behind(BROKEN[how])
    for number in range(5):
        make_message(mailbox, alice, f"person{number}@example.org")
    take_turns(mailbox, OPENS_AFTER - 1)
    assert not Notification.objects.exists(), "it may be a restart"
    take_turns(mailbox, 3)
    assert outcomes() == {State.QUEUED}
    assert Attempt.objects.count() == OPENS_AFTER + 2
    mailbox.refresh_from_db()
    assert mailbox.attention["causes"][0]["cure"]
    told = Notification.objects.get()
    assert told.user == alice
    assert mailbox.attention["title"].rstrip(".") in told.text
    waiting = OutboxRecipient.objects.order_by("-pk").first()
    assert waiting.note.startswith(f"It waits: 127.0.0.1:{mailbox.smtp_port} could not be reached")
    assert mailbox.attention["causes"][0]["cure"] in waiting.note


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_without_the_protection_that_was_chosen_nothing_leaves_and_nothing_fails(security, behind, make_message, alice):
    mailbox = behind("", security)
    message = make_message(mailbox, alice)
    take_turns(mailbox, OPENS_AFTER)
    assert states(message) == {"bob@example.org": State.QUEUED}
    mailbox.refresh_from_db()
    assert mailbox.attention["protocol"] == "smtp"


def test_a_certificate_that_is_not_trusted_fails_nothing(make_mailbox, make_message, alice, dovecot, may_dial):
    load_rules()
    may_dial(dovecot.tls_port)
    mailbox = make_mailbox(
        "alice@example.org",
        alice,
        smtp_host="127.0.0.1",
        smtp_port=dovecot.tls_port,
        smtp_security="tls",
        imap_host="",
    )
    message = make_message(mailbox, alice)
    take_turns(mailbox, OPENS_AFTER)
    assert states(message) == {"bob@example.org": State.QUEUED}
    mailbox.refresh_from_db()
    assert mailbox.attention["code"].startswith("certificate")


def test_once_it_is_mended_everything_leaves_and_the_owner_hears_of_it(behind, serving, make_message, alice):
    mailbox = behind(BROKEN["web server"])
    messages = [make_message(mailbox, alice, f"person{number}@example.org") for number in range(3)]
    take_turns(mailbox, OPENS_AFTER)
    port, good = serving("")
    Mailbox.objects.filter(pk=mailbox.pk).update(smtp_port=port)
    Circuit.objects.update(port=port)
    take_turns(mailbox, 1)
    assert outcomes() == {State.SENT}
    assert len(good.taken) == len(messages)
    mailbox.refresh_from_db()
    assert mailbox.attention is None
    assert [one.kind for one in Notification.objects.order_by("pk")] == ["mailbox_disconnected", "mailbox_connected"]


def test_of_a_shared_server_those_are_told_who_manage_servers(
    behind, serving, make_message, make_mailbox, organization, alice, administrator
):
    first = behind(BROKEN["web server"])
    office = MailServer.objects.create(
        organization=organization, name="Office", host="127.0.0.1", port=first.smtp_port, security="none"
    )
    first.mail_server = office
    first.save()
    message = make_message(first, alice)
    take_turns(first, OPENS_AFTER + 2)
    told = Notification.objects.get(user=administrator)
    assert told.title == "The mail server “Office” needs attention"
    assert states(message) == {"bob@example.org": State.QUEUED}
    office.port, _ = serving("")
    office.save()
    Circuit.objects.update(port=office.port)
    take_turns(first, 1)
    first.refresh_from_db()
    assert first.attention is None


def test_mail_to_where_nobody_may_dial_waits_for_an_administrator(behind, make_message, alice, may_dial):
    mailbox = behind("")
    message = make_message(mailbox, alice)
    may_dial(1)
    submit_message(message.pk)
    recipient = message.recipients.get()
    assert (recipient.state, recipient.tries) == (State.QUEUED, 0)
    assert "administrator" in Notification.objects.get().text
    may_dial(mailbox.smtp_port)
    take_turns(mailbox, 1)
    assert states(message) == {"bob@example.org": State.SENT}


@pytest.mark.proves("R15", "D4")
def test_a_throttled_login_is_tried_by_the_table_and_not_sooner_than_after_ten_minutes(
    make_message, sending_mailbox, alice, sink, clock
):
    load_rules()
    message, second = make_message(sending_mailbox, alice), make_message(sending_mailbox, alice, "carol@example.org")
    sink.refuse_login = "454 4.7.0 Too many login attempts"
    waits = []
    for _ in range(6):
        submit_message(message.pk)
        submit_message(second.pk)
        recipient = message.recipients.get()
        assert recipient.state == State.QUEUED
        waits.append(recipient.not_before - timezone.now())
        clock.move_to(recipient.not_before, tick=False)
        second.recipients.update(not_before=timezone.now() + timedelta(days=1))
    assert waits[:2] == [ONCE_LATER, ONCE_LATER]
    assert waits == [max(wait, ONCE_LATER) for wait in waits]
    assert timedelta(minutes=45) < waits[-1] < timedelta(minutes=75)
    assert len(sink.logins) == 6, "the second message waits with the first"
    sending_mailbox.refresh_from_db()
    assert sending_mailbox.paused_at is None
    sink.refuse_login = ""
    submit_message(message.pk)
    assert states(message) == {"bob@example.org": State.SENT}


@pytest.mark.proves("R19")
def test_a_server_that_hangs_up_after_every_message_makes_few_of_them_uncertain(behind, make_message, alice, clock):
    mailbox = behind(HANGS_UP)
    for number in range(20):
        make_message(mailbox, alice, f"person{number}@example.org")
    route = Route.objects.leading(mailbox)
    uncertain = OutboxRecipient.objects.filter(state=State.UNCERTAIN)
    submit_route(route.pk)
    assert uncertain.count() == 2
    note = OutboxRecipient.objects.filter(state=State.QUEUED).first().note
    assert "hangs up instead of answering; it goes on at 10:01 UTC." in note
    for pause, minutes in enumerate((1, 2, 5), start=1):
        submit_route(route.pk)
        assert uncertain.count() == 1 + pause, "nothing leaves in the pause"
        clock.shift(timedelta(minutes=minutes))
        submit_route(route.pk)
        assert uncertain.count() == 2 + pause


@pytest.mark.proves("R19")
def test_an_answer_ends_such_a_pause_for_all(behind, serving, make_message, alice, clock):
    mailbox = behind(HANGS_UP)
    for number in range(6):
        make_message(mailbox, alice, f"person{number}@example.org")
    route = Route.objects.leading(mailbox)
    submit_route(route.pk)
    port, good = serving("")
    Mailbox.objects.filter(pk=mailbox.pk).update(smtp_port=port)
    clock.shift(timedelta(minutes=1))
    submit_route(route.pk)
    assert len(good.taken) == 4
    assert Route.objects.get(pk=route.pk).slowed == 0


@pytest.mark.proves("R15")
def test_a_quota_that_refuses_again_has_its_last_try_at_the_end_of_two_days(
    make_message, sending_mailbox, alice, sink, clock
):
    load_rules()
    sink.mail = "550 5.4.5 Daily user sending limit exceeded."
    message = make_message(sending_mailbox, alice)
    for _ in range(2):
        submit_message(message.pk)
        recipient = message.recipients.get()
        assert recipient.state == State.QUEUED
        clock.move_to(recipient.not_before + timedelta(seconds=20), tick=False)
    assert recipient.not_before == recipient.expires_at == NOW + timedelta(hours=48)
    submit_message(message.pk)
    assert states(message) == {"bob@example.org": State.FAILED}
    assert message.attempts.count() == 3
    assert "Tried 3 times" in message.recipients.get().note


@pytest.mark.proves("R15")
def test_what_runs_out_of_time_within_the_day_of_a_quota_has_a_last_try(
    make_message, sending_mailbox, alice, sink, clock
):
    load_rules()
    early = make_message(sending_mailbox, alice, recipient={"expires_at": NOW + timedelta(hours=20)})
    late = make_message(sending_mailbox, alice, "carol@example.org")
    sink.mail = "550 5.4.5 Daily user sending limit exceeded."
    submit_route(Route.objects.leading(sending_mailbox).pk)
    sink.mail = ""
    assert early.recipients.get().not_before == NOW + timedelta(hours=20)
    clock.move_to(NOW + timedelta(hours=20), tick=False)
    submit_route(Route.objects.leading(sending_mailbox).pk)
    assert states(early) | states(late) == {"bob@example.org": State.SENT, "carol@example.org": State.SENT}


def test_a_wait_that_ends_after_the_time_ends_with_it(make_message, sending_mailbox, alice, sink, clock):
    sink.password = "another"
    message = make_message(sending_mailbox, alice, recipient={"expires_at": NOW + timedelta(minutes=5)})
    submit_message(message.pk)
    assert message.recipients.get().not_before == NOW + timedelta(minutes=5)
    clock.move_to(NOW + timedelta(minutes=5) + LATE / 2, tick=False)
    submit_message(message.pk)
    recipient = message.recipients.get()
    assert recipient.state == State.FAILED
    assert recipient.note.startswith("Given up after two days: the server refused the login")


@pytest.mark.proves("D4")
def test_of_a_shared_login_that_is_refused_those_are_told_once_who_manage_servers(
    make_message, sending_mailbox, organization, alice, administrator, sink, clock
):
    office = MailServer.objects.create(
        organization=organization, name="Office", host="127.0.0.1", port=sink.port, security="none"
    )
    office.username, office.password = "office", Secret("wrong")
    office.save()
    Mailbox.objects.filter(pk=sending_mailbox.pk).update(mail_server=office)
    message = make_message(sending_mailbox, alice)
    for _ in range(5):
        OutboxRecipient.objects.update(not_before=timezone.now())
        submit_message(message.pk)
        clock.shift(timedelta(minutes=11))
    assert len(sink.logins) == 2
    assert Notification.objects.get(user=administrator).title == "The mail server “Office” needs attention"


@pytest.mark.proves("D4")
def test_of_two_workers_whose_shared_login_is_refused_one_tells_and_after_it_worked_it_is_told_anew(
    make_message, sending_mailbox, organization, alice, administrator, sink
):
    office = MailServer.objects.create(
        organization=organization, name="Office", host="127.0.0.1", port=sink.port, security="none", username="office"
    )
    Mailbox.objects.filter(pk=sending_mailbox.pk).update(mail_server=office)
    sending_mailbox.refresh_from_db()
    way = way_of(Route.objects.through(office), timezone.now())
    assert isinstance(way, Way)

    def refuse(count: int) -> None:
        ledgers = []
        for _ in range(count):
            message = make_message(sending_mailbox, alice)
            attempt = Attempt.objects.begin(message.pk, timezone.now())
            ledgers.append(Ledger(attempt, message))
        for ledger in ledgers:
            Line(way)._not_opened(ledger, LoginRefused("The login was refused.", reply="535 5.7.8 no"))

    refuse(3)
    told = Notification.objects.filter(user=administrator)
    assert told.count() == 1
    way.login.note_success()
    refuse(3)
    assert told.count() == 2


def test_a_pause_is_never_made_shorter(sending_mailbox):
    route = Route.objects.leading(sending_mailbox)
    day = timezone.now() + timedelta(days=1)
    route.hold(day, "its quota is used up.")
    route.hold(timezone.now() + timedelta(minutes=1), "it was put off.")
    route.refresh_from_db()
    assert (route.held_until, route.held_for) == (day, "its quota is used up.")


@pytest.mark.parametrize(
    ("retry", "left", "expected"),
    [
        (Retry.NEXT_DAY, timedelta(hours=30), timedelta(hours=24)),
        (Retry.NEXT_DAY, timedelta(hours=20), timedelta(hours=20)),
        (Retry.NEXT_DAY, timedelta(seconds=30), None),
        (Retry.NEXT_DAY, timedelta(seconds=-30), None),
        (Retry.BACK_OFF, timedelta(seconds=30), None),
        (Retry.STOP, timedelta(hours=30), None),
    ],
)
def test_the_last_try_is_at_the_end_and_not_twice(retry, left, expected):
    moment = next_try(retry, 0, now=NOW, expires_at=NOW + left, chance=0.5)
    assert moment == (None if expected is None else NOW + expected)


def test_a_closed_way_out_makes_a_try_later_but_not_too_late():
    one = {"now": NOW, "expires_at": NOW + timedelta(minutes=20), "chance": 0.5}
    in_ten, in_thirty = NOW + timedelta(minutes=10), NOW + timedelta(minutes=30)
    assert next_try(Retry.BACK_OFF, 0, **one, earliest=in_ten) == in_ten
    assert next_try(Retry.BACK_OFF, 0, **one, earliest=in_thirty) == one["expires_at"]
