"""Notices by mail: one mail for each, through the default account, or through account mail where that is broken."""

from __future__ import annotations

import email
import email.policy
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox
from delivery import notices
from delivery.deciding import may_decide
from delivery.explaining import story_of
from delivery.logins import Login
from delivery.models import LoginRefusal, OutboxMessage, OutboxRecipient
from delivery.states import Origin, SentCopy, State
from delivery.tasks import mail_notices, submit_message
from notifications.kinds import Kind
from notifications.models import Notification
from organizations import account_mail
from organizations.account_mail import AccountMailFailed
from protocols.errors import OutcomeUnknown, Refused
from tests.simultaneously import simultaneously

pytestmark = pytest.mark.django_db


@pytest.fixture
def by_account_mail(monkeypatch) -> list[tuple[str, str]]:
    """Address and letter's subject of each account mail; a failure that is put first is raised instead."""
    sent: list = []

    def send(template, *, to, organization, context) -> bool:
        if sent and isinstance(sent[0], Exception):
            raise sent[0]
        sent.append((to[1], context["letter"].subject))
        return True

    monkeypatch.setattr(account_mail, "send", send)
    return sent


def failure(cause: Exception | None = None) -> AccountMailFailed:
    error = AccountMailFailed("It did not leave.")
    error.__cause__ = cause
    return error


def run() -> None:
    """As beat does, and the workers after it."""
    mail_notices()
    for message in OutboxMessage.objects.filter(origin=Origin.NOTICE):
        submit_message(message.pk)


@pytest.mark.proves("A7")
def test_a_notice_leaves_through_the_default_account(default_account, sink, alice, told, settings):
    settings.PUBLIC_URL = "https://mail.example.org"
    notification = told(alice, "desk@example.org needs attention")
    run()
    [taken] = sink.taken
    assert (taken.sender, taken.recipients) == ("office@example.org", ["alice@example.org"])
    message = email.message_from_bytes(taken.raw, policy=email.policy.default)
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Subject"] == "desk@example.org needs attention"
    link = "https://mail.example.org" + reverse("notifications:open", args=[notification.pk])
    text, html = (message.get_body([kind]).get_content() for kind in ("plain", "html"))
    for body in (text, html):
        assert link in body
        assert "Because." in body
        assert "https://mail.example.org/notifications/settings" in body
    row = OutboxMessage.objects.get()
    assert (row.author, row.origin, row.sent_copy) == (None, Origin.NOTICE, SentCopy.NOT_WANTED)
    notification.refresh_from_db()
    assert notification.mail_key == row.submission_key


@pytest.mark.proves("A7")
def test_each_notification_is_mailed_once_however_often_beat_looks(default_account, sink, alice, told):
    told(alice)
    for _ in range(3):
        run()
    assert len(sink.taken) == 1


@pytest.mark.proves("A7")
def test_a_crash_before_the_commit_leaves_neither_mail_nor_mark(default_account, alice, told, monkeypatch):
    notification = told(alice)

    def dies(*_args: object, **_options: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("delivery.outbox.OutboxRecipient.objects.bulk_create", dies)
        with pytest.raises(RuntimeError, match="killed"):
            mail_notices()
    assert not OutboxMessage.objects.exists()
    assert list(Notification.objects.awaiting_mail()) == [notification]
    mail_notices()
    assert OutboxMessage.objects.count() == 1


@pytest.mark.proves("A7")
@pytest.mark.django_db(transaction=True)
def test_workers_that_look_at_once_write_one_mail(default_account, alice, told):
    told(alice), told(alice)
    now = timezone.now()
    outcomes = simultaneously(*[lambda: notices.mail(alice.pk, now)] * 4)
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert OutboxMessage.objects.filter(origin=Origin.NOTICE).count() == 1


@pytest.mark.proves("A7")
def test_what_comes_within_a_minute_goes_as_one_mail(default_account, sink, alice, bob, told):
    told(alice, "The first", minutes=0.5)
    run()
    assert sink.taken == []  # others may follow
    told(alice, "The one before", minutes=1.2)
    told(bob, "For Bob")
    run()
    assert sorted(taken.recipients for taken in sink.taken) == [["alice@example.org"], ["bob@example.org"]]
    [mine] = [taken for taken in sink.taken if taken.recipients == ["alice@example.org"]]
    assert b"Subject: 2 notifications" in mine.raw
    assert b"The first" in mine.raw
    assert b"The one before" in mine.raw
    assert b"For Bob" not in mine.raw


@pytest.mark.proves("A7")
def test_what_is_not_wanted_by_mail_is_not_mailed(default_account, sink, alice, told):
    told(alice, kind=Kind.MAILBOX_CONNECTED)
    run()
    assert sink.taken == []


def test_who_was_deactivated_meanwhile_gets_none(default_account, sink, alice, told):
    told(alice)
    alice.is_active = False
    alice.save()
    run()
    assert sink.taken == []
    assert notices.due(timezone.now()) == []


@pytest.mark.proves("A7", "F3")
def test_mail_of_a_person_is_quoted_in_no_notice_and_read_by_nobody_in_the_log(
    default_account, sink, alice, administrator, told
):
    notification = told(alice, "A message of yours was not sent", Kind.MESSAGE_FAILED)
    Notification.objects.filter(pk=notification.pk).update(text="“Secret plan” to bob@example.net: refused")
    run()
    assert b"Secret" not in sink.taken[0].raw
    row = OutboxMessage.objects.get()
    story = story_of(row, administrator, timezone.now())
    assert story.text is None
    assert "written by the system" in " ".join(story.reasons)
    assert not may_decide(administrator, row, timezone.now())


@pytest.mark.proves("A7")
def test_five_hundred_notices_are_one_short_mail_at_a_constant_cost(
    default_account, sink, alice, bob, told, assert_queries
):
    for _ in range(500):
        told(alice, "It broke")
    told(bob)
    counted = []
    for person in (bob, alice):
        with assert_queries.__class__()(_COST) as queries:
            assert notices.mail(person.pk, timezone.now())
        counted.append(len(queries))
    assert counted == [_COST, _COST]
    run()
    [mine] = [taken for taken in sink.taken if taken.recipients == ["alice@example.org"]]
    assert b"Subject: 500 notifications" in mine.raw
    text = email.message_from_bytes(mine.raw, policy=email.policy.default).get_body(["plain"]).get_content()
    assert text.count("It broke") == 20
    assert "And 480 more" in text


_COST = 17  # savepoints among them


# --- Account mail -----------------------------------------------------------------------------------------------


@pytest.mark.proves("A7", "A5")
def test_without_a_default_account_it_goes_by_account_mail_once(alice, told, by_account_mail):
    told(alice, "It broke")
    for _ in range(2):
        run()
    assert by_account_mail == [("alice@example.org", "It broke")]
    assert not OutboxMessage.objects.exists()


@pytest.mark.proves("A7", "A5")
@pytest.mark.parametrize("broken", ["attention", "paused", "switched off", "no server", "refused login", "owner gone"])
def test_a_broken_default_account_is_gone_around(broken, default_account, alice, bob, told, by_account_mail):
    now = timezone.now()
    values = {
        "attention": {"attention": {"title": "Refused"}, "attention_since": now},
        "paused": {"paused_at": now},
        "switched off": {"sends": False},
        "no server": {"smtp_host": ""},
        "refused login": {},
        "owner gone": {"owner": bob},
    }[broken]
    Mailbox.objects.filter(pk=default_account.pk).update(**values)
    bob.is_active = False
    bob.save()
    if broken == "refused login":
        default_account.refresh_from_db()
        Login.of(default_account).note_refusal("535 no", now)
    told(alice)
    run()
    assert len(by_account_mail) == 1
    assert not OutboxMessage.objects.exists()


@pytest.mark.proves("A7", "A5")
@pytest.mark.parametrize("how", ["refuses the login", "refuses the sender", "is paused meanwhile", "is deleted"])
def test_an_account_that_breaks_on_the_way_hands_over_to_account_mail(
    how, default_account, sink, alice, administrator, told, by_account_mail
):
    told(alice, "It broke")
    mail_notices()
    if how == "refuses the login":
        sink.refuse_login = "535 5.7.8 Authentication credentials invalid"
    elif how == "refuses the sender":
        sink.mail = "550 5.7.1 Sender address rejected"
    elif how == "is paused meanwhile":
        Mailbox.objects.filter(pk=default_account.pk).update(paused_at=timezone.now())
    else:
        default_account.delete()
    submit_message(OutboxMessage.objects.get().pk)
    assert OutboxRecipient.objects.get().state == State.FAILED
    for _ in range(3):
        run()
    assert by_account_mail == [("alice@example.org", "It broke")]
    assert sink.taken == []
    assert Notification.objects.count() == 1  # that it failed is told to nobody
    LoginRefusal.objects.all().delete()


@pytest.mark.proves("A7", "I3")
def test_a_notice_whose_answer_was_lost_is_not_sent_again(default_account, sink, alice, told, by_account_mail):
    sink.after_dot = "drop"
    told(alice)
    for _ in range(3):
        run()
    assert len(sink.taken) == 1
    assert by_account_mail == []
    assert Notification.objects.count() == 1


def test_account_mail_that_fails_comes_back_later_and_ends_after_a_day(alice, told, by_account_mail):
    by_account_mail.append(failure())
    notification = told(alice)
    now = timezone.now()
    assert not notices.mail(alice.pk, now)
    assert notices.due(now) == []
    assert notices.due(now + timedelta(minutes=10)) == [alice.pk]
    assert not notices.mail(alice.pk, now + timedelta(hours=25))
    notification.refresh_from_db()
    assert (notification.mail_due_at, notification.mailed_at) == (None, None)


@pytest.mark.parametrize("cause", [Refused("No such user"), OutcomeUnknown("silence")])
def test_what_would_fail_again_or_may_have_arrived_is_not_repeated(alice, told, by_account_mail, cause):
    by_account_mail.append(failure(cause))
    told(alice)
    notices.mail(alice.pk, timezone.now())
    assert not Notification.objects.awaiting_mail().exists()


def test_while_account_mail_is_broken_the_others_wait(alice, bob, told, by_account_mail):
    by_account_mail.append(failure())
    told(alice, minutes=5), told(bob, minutes=4)
    mail_notices()
    assert notices.due(timezone.now()) == [bob.pk]


@pytest.mark.proves("A7", "A5")
def test_the_account_mail_is_written_with_its_subject_and_links(alice, told, capsys, settings):
    settings.PUBLIC_URL = "https://mail.example.org"
    notification = told(alice, "<desk> needs attention")
    run()
    printed = capsys.readouterr().out
    assert "Subject: <desk> needs attention" in printed
    assert f"https://mail.example.org/notifications/{notification.pk}/open" in printed
