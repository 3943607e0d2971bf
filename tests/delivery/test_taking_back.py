"""Undo after Send: nothing leaves for some seconds, and what is taken back opens as it was typed (spec I5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from delivery import taking_back
from delivery.models import Attempt, OutboxMessage, Typed
from delivery.states import State
from delivery.sweeping import sweep
from delivery.tasks import submit_message
from organizations.models import User
from protocols.message.content import open_message
from tests.delivery.conftest import states
from tests.delivery.writing import COMPOSE, filled

pytestmark = [pytest.mark.django_db, pytest.mark.proves("I5")]

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)


@pytest.fixture(autouse=True)
def clock(time_machine):
    """Stands at NOW until a test moves it."""
    time_machine.move_to(NOW, tick=False)
    return time_machine


@pytest.fixture
def client(client_of, alice):
    return client_of(alice)


@pytest.fixture
def send(client, sending_mailbox):
    """`send(**typed)`: press Send; the message that stands for it."""

    def call(**typed: object) -> OutboxMessage:
        response = client.post(COMPOSE, filled(sending_mailbox, next="/mail/", **typed))
        assert response.status_code == 302, response.context["form"].errors
        return OutboxMessage.objects.latest("pk")

    return call


def undo(client, message: OutboxMessage):
    return client.post(reverse("delivery:undo", args=[message.pk]))


def page_of(client, url: str = "/logs/email") -> str:
    return client.get(url).content.decode()


@pytest.mark.parametrize("seconds", [5, 10, 30])
def test_nothing_leaves_before_the_time_to_undo_is_over(send, sink, clock, alice, seconds):
    User.objects.filter(pk=alice.pk).update(undo_seconds=seconds)
    message = send()
    clock.move_to(NOW + timedelta(seconds=seconds - 1), tick=False)
    submit_message(message.pk)
    assert message.pk not in sweep(timezone.now()).messages
    assert sink.connections == 0
    clock.move_to(NOW + timedelta(seconds=seconds), tick=False)
    submit_message(message.pk)
    assert states(message) == {"bob@example.org": State.SENT}


def test_who_wants_no_time_to_undo_sends_at_once(send, sink, alice, client):
    User.objects.filter(pk=alice.pk).update(undo_seconds=0)
    submit_message(send().pk)
    assert len(sink.taken) == 1
    assert 'id="undo-bar"' not in page_of(client)


def test_a_worker_is_told_the_moment(send, monkeypatch, django_capture_on_commit_callbacks):
    told: list[tuple[object, ...]] = []
    monkeypatch.setattr(submit_message, "apply_async", lambda pks, **how: told.append((*pks, how.get("eta"))))
    with django_capture_on_commit_callbacks(execute=True):
        message = send()
    assert told == [(message.pk, NOW + timedelta(seconds=10))]


def test_every_page_offers_to_undo_until_the_time_is_over(send, client, clock):
    message = send()
    for url in ("/logs/email", COMPOSE, "/communications/settings/email"):
        page = page_of(client, url)
        assert reverse("delivery:undo", args=[message.pk]) in page
        assert 'data-left="10"' in page
    clock.move_to(NOW + timedelta(seconds=7), tick=False)
    assert 'data-left="3"' in page_of(client)
    clock.move_to(NOW + timedelta(seconds=10), tick=False)
    assert reverse("delivery:undo", args=[message.pk]) not in page_of(client)


def test_the_bar_then_tells_what_became_of_it_and_ends(send, client, clock, sink):
    message = send()
    clock.move_to(NOW + timedelta(seconds=10), tick=False)
    assert "is on its way." in page_of(client)
    submit_message(message.pk)
    bar = page_of(client, reverse("delivery:undo-bar"))
    assert "was sent." in bar
    assert reverse("delivery:message", args=[message.pk]) in bar
    clock.move_to(NOW + timedelta(seconds=10) + taking_back.FOLLOWED, tick=False)
    assert page_of(client, reverse("delivery:undo-bar")).strip() == ""


def test_the_bar_counts_who_has_it_where_some_were_refused(send, client, clock, sink):
    message = send(to="bob@example.org, nobody@example.org")
    clock.move_to(NOW + timedelta(seconds=10), tick=False)
    sink.recipients = {"nobody@example.org": "550 5.1.1 no such user"}
    submit_message(message.pk)
    bar = page_of(client, reverse("delivery:undo-bar"))
    assert "was sent to 1 of 2." in bar
    assert "could not be sent" not in bar
    assert reverse("delivery:message", args=[message.pk]) in bar


def test_pages_of_those_who_sent_nothing_do_not_ask_for_the_bar(client, monkeypatch):
    monkeypatch.setattr("delivery.undo_bar.undoable", lambda *_: pytest.fail("The rows were asked."))
    assert 'id="undo-bar"' not in page_of(client)


def test_what_is_taken_back_opens_as_it_was_typed_with_its_files(send, client, sending_mailbox, sink, clock):
    typed = {
        "to": "Bob <bob@example.org>, carol@example.org",
        "bcc": "dave@example.org",
        "subject": "Offer",
        "text": "Good  morning,\n\nhere it is.\n",
        "attachments": [
            SimpleUploadedFile("offer.pdf", b"%PDF offer", "application/pdf"),
            SimpleUploadedFile("naïve.txt", "ü".encode(), "text/plain"),
        ],
    }
    message = send(**typed)
    assert undo(client, message).url == reverse("delivery:reopen", args=[message.pk])
    assert set(states(message).values()) == {State.CANCELLED}
    form = client.get(reverse("delivery:reopen", args=[message.pk])).context["form"]
    for name in ("to", "bcc", "subject", "text"):
        assert form[name].value() == typed[name]
    assert [label for _, label in form.fields["keep"].choices] == ["offer.pdf", "naïve.txt"]
    assert form["keep"].value() == [path for path, _ in form.fields["keep"].choices]

    paths = form["keep"].value()
    again = filled(sending_mailbox, **{**typed, "attachments": []}, keep=paths)
    again["submission_key"] = form["submission_key"].value()
    assert client.post(reverse("delivery:reopen", args=[message.pk]), again).status_code == 302
    second = OutboxMessage.objects.latest("pk")
    content = open_message(bytes(second.raw))
    assert [(part.filename, part.size) for part in content.attachments] == [("offer.pdf", 10), ("naïve.txt", 2)]
    assert second.message_id != message.message_id
    clock.shift(timedelta(minutes=1))
    for pk in (message.pk, second.pk):
        submit_message(pk)
    assert len(sink.taken) == 1


def test_formatted_mail_that_is_taken_back_opens_with_its_formatting_and_leaves_with_it(
    send, client, sending_mailbox, sink, clock
):
    html = "<p>Dear <strong>Bob</strong>,</p><ul><li><p>oak</p></li><li><p>ash</p></li></ul>"
    message = send(format="rich", html=html, text="")
    undo(client, message)
    form = client.get(reverse("delivery:reopen", args=[message.pk])).context["form"]
    assert (form["format"].value(), form["html"].value()) == ("rich", html)
    key = form["submission_key"].value()
    again = filled(sending_mailbox, format="rich", html=html, text="", submission_key=key)
    assert client.post(reverse("delivery:reopen", args=[message.pk]), again).status_code == 302
    content = open_message(bytes(OutboxMessage.objects.latest("pk").raw))
    assert "<strong>Bob</strong>" in (content.html or "")
    assert "oak" in (content.text or "")


def test_the_page_of_a_mail_that_was_taken_back_opens_it_again_for_its_author_alone(
    send, client, client_of, administrator
):
    message = send()
    page, link = reverse("delivery:message", args=[message.pk]), reverse("delivery:reopen", args=[message.pk])
    assert link not in page_of(client, page)
    undo(client, message)
    assert link in page_of(client, page)
    assert link not in page_of(client_of(administrator), page)
    Typed.objects.all().delete()
    assert link not in page_of(client, page)


def test_an_answer_that_is_taken_back_stays_an_answer(client, sending_mailbox, stored):
    original = stored(sending_mailbox)
    client.post(reverse("delivery:reply", args=[original.pk]), filled(sending_mailbox, quote="> Thursday?", text="Yes"))
    message = OutboxMessage.objects.get()
    undo(client, message)
    page = client.get(reverse("delivery:reopen", args=[message.pk]))
    assert page.context["title"] == "Reply"
    assert page.context["form"]["quote"].value() == "> Thursday?"
    key = page.context["form"]["submission_key"].value()
    again = filled(sending_mailbox, quote="> Thursday?", text="Yes!", submission_key=key)
    client.post(reverse("delivery:reopen", args=[message.pk]), again)
    assert OutboxMessage.objects.latest("pk").answers == original


def test_pressed_twice_or_in_two_windows_undo_opens_it_both_times(send, client):
    message = send()
    assert undo(client, message).url == undo(client, message).url == reverse("delivery:reopen", args=[message.pk])


@pytest.mark.proves("I4", "R20")
def test_two_windows_that_open_it_again_send_it_once(send, client, sending_mailbox):
    message = send()
    undo(client, message)
    url = reverse("delivery:reopen", args=[message.pk])
    keys = [client.get(url).context["form"]["submission_key"].value() for _ in range(2)]
    answers = [client.post(url, filled(sending_mailbox, submission_key=key)) for key in keys]
    assert [answer.status_code for answer in answers] == [302, 302]
    assert OutboxMessage.objects.count() == 2  # the one that was taken back, and the one that leaves


@pytest.mark.proves("I4", "R20")
def test_the_back_button_after_undo_sends_nothing_and_says_so(send, client, sending_mailbox):
    message = send()
    undo(client, message)
    response = client.post(COMPOSE, filled(sending_mailbox, next="/mail/"))
    assert response.status_code == 422
    page = response.content.decode()
    assert "You took this mail back" in page
    assert reverse("delivery:reopen", args=[message.pk]) in page
    assert OutboxMessage.objects.count() == 1


def test_too_late_is_told_as_it_is(send, client, clock):
    message = send()
    clock.move_to(NOW + timedelta(seconds=11), tick=False)
    Attempt.objects.begin(message.pk, timezone.now())
    response = undo(client, message)
    assert response.url == reverse("delivery:message", args=[message.pk])
    assert "being handed over to the mail server at this moment" in page_of(client, response.url)


def test_nobody_else_takes_it_back_or_opens_it(send, client_of, bob, administrator):
    message = send()
    for person in (bob, administrator):
        assert undo(client_of(person), message).status_code == 404
        assert client_of(person).get(reverse("delivery:reopen", args=[message.pk])).status_code == 404
    assert states(message) == {"bob@example.org": State.QUEUED}


def test_what_has_left_is_not_opened_again(send, client, clock, sink):
    message = send()
    clock.shift(timedelta(seconds=11))
    submit_message(message.pk)
    response = client.get(reverse("delivery:reopen", args=[message.pk]))
    assert response.url == reverse("delivery:message", args=[message.pk])


def test_what_was_typed_is_forgotten_once_it_has_left_or_a_week_after(send, client, clock, sink):
    sent, back, waits = send(), send(submission_key="2"), send(submission_key="3", send_at="2026-11-30T08:00:00+00:00")
    undo(client, back)
    clock.shift(timedelta(minutes=10))
    submit_message(sent.pk)
    sweep(timezone.now())
    assert set(Typed.objects.values_list("message", flat=True)) == {back.pk, waits.pk}
    clock.shift(taking_back.KEPT)
    sweep(timezone.now())
    assert set(Typed.objects.values_list("message", flat=True)) == {waits.pk}


# --- Send later --------------------------------------------------------------------------------------------------


def test_a_moment_that_is_offered_schedules_without_time_to_undo(send, client, alice):
    User.objects.filter(pk=alice.pk).update(time_zone="Europe/Berlin")
    [choice] = [one for one in client.get(COMPOSE).context["form"].offered if one.label == "Monday morning"]
    message = send(send_at=choice.moment.isoformat())
    assert (message.scheduled_for, message.undo_until) == (datetime(2026, 11, 23, 7, tzinfo=UTC), None)
    page = page_of(client)
    assert "It leaves on Monday, 23 November 2026, 08:00." in page
    assert reverse("delivery:scheduled") in page


def test_ones_own_date_is_read_in_ones_own_time_zone_and_says_where_clocks_change(send, client, alice):
    User.objects.filter(pk=alice.pk).update(time_zone="Europe/Berlin")
    message = send(send_at="chosen", send_on="2027-03-28T02:30")
    assert message.scheduled_for == datetime(2027, 3, 28, 1, 30, tzinfo=UTC)
    assert "02:30 does not exist on that day, so it is 03:30." in page_of(client)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"send_on": "2026-11-30T08:00"}, "Press “Schedule” to send it then"),
        ({"send_at": "chosen"}, "Set the date and time first."),
        ({"send_at": "chosen", "send_on": "2026-11-20T08:00"}, "has passed"),
        ({"send_at": "chosen", "send_on": "2029-11-20T08:00"}, "more than a year"),
        ({"send_at": "chosen", "send_on": "soon"}, "Set a date and a time"),
        ({"send_at": "2026-11-20T08:00:00+00:00"}, "has passed"),
        ({"send_at": "nonsense"}, "no moment that was offered"),
    ],
)
def test_a_moment_that_cannot_be_is_told_at_its_field_and_nothing_is_lost(client, sending_mailbox, typed, sentence):
    response = client.post(COMPOSE, filled(sending_mailbox, text="A long letter", **typed))
    assert response.status_code == 422
    assert sentence in " ".join(response.context["form"].errors["send_on"])
    assert "A long letter" in response.content.decode()
    assert not OutboxMessage.objects.exists()


def test_the_list_shows_what_waits_and_lets_it_be_moved_hurried_and_taken_back(send, client, sink):
    message = send(send_at="chosen", send_on="2026-11-30T08:00")
    page = page_of(client, reverse("delivery:scheduled"))
    assert "Mon 30 Nov" in page
    dialog = reverse("delivery:reschedule", args=[message.pk])
    assert 'value="2026-11-30T08:00"' in page_of(client, dialog)
    assert client.post(dialog, {"send_at": "chosen", "send_on": "2026-11-19T08:00"}).status_code == 422
    assert client.post(dialog, {"send_at": "chosen", "send_on": "2026-12-01T09:00"}).status_code == 302
    message.refresh_from_db()
    assert message.scheduled_for == datetime(2026, 12, 1, 9, tzinfo=UTC)
    back = client.post(reverse("delivery:take-back", args=[message.pk]))
    assert back.url == reverse("delivery:reopen", args=[message.pk])
    assert client.get(back.url).context["form"]["subject"].value() == "Hi"
    assert "Nothing is scheduled" in page_of(client, reverse("delivery:scheduled"))


def test_the_list_asks_as_often_for_many_as_for_few(client, make_message, sending_mailbox, alice, assert_queries):
    def schedule() -> None:
        for _ in range(5):
            make_message(sending_mailbox, alice, scheduled_for=NOW + timedelta(days=1))

    schedule()
    assert_queries.constant(lambda: client.get(reverse("delivery:scheduled")), schedule)
