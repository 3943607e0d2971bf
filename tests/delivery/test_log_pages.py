"""The email log: who sees which mail, the filters, the story of one message, and its buttons."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import MailboxGrant
from delivery.models import OutboxMessage, OutboxRecipient
from delivery.states import SentCopy, State
from delivery.tasks import submit_message
from organizations.models import OperationGrant
from organizations.operations import Operation
from tests.delivery.conftest import states
from tests.delivery.moving import put

pytestmark = pytest.mark.django_db

LOG = "/logs/email"


@pytest.fixture
def message(make_message, sending_mailbox, alice):
    return make_message(sending_mailbox, alice, "bob@example.org", subject="Offer for Bob")


def page_of(client, **query: str) -> str:
    response = client.get(LOG, query)
    assert response.status_code == 200
    return response.content.decode()


# --- Who sees what ----------------------------------------------------------------------------------------------


@pytest.mark.proves("I9", "A1", "F3")
def test_everybody_sees_their_own_mail_and_that_of_mailboxes_they_may_read(
    client_of, make_message, message, shared_mailbox, alice, bob, charlie, dana
):
    make_message(shared_mailbox, alice, "carol@example.org", subject="Shared news")
    seen = {
        person.name: [text for text in ("Offer for Bob", "Shared news") if text in page_of(client_of(person))]
        for person in (alice, bob, charlie, dana)
    }
    assert seen == {"Alice": ["Offer for Bob", "Shared news"], "Bob": ["Shared news"], "Charlie": [], "Dana": []}


@pytest.mark.proves("I9", "F2")
def test_whoever_may_send_from_a_mailbox_sees_and_reads_what_left_it(
    client_of, make_message, shared_mailbox, alice, bob
):
    raw = b"From: sales@example.org\r\nSubject: Shared news\r\n\r\nThe prices of autumn\r\n"
    sent = make_message(shared_mailbox, alice, "carol@example.org", subject="Shared news", raw=raw)
    MailboxGrant.objects.filter(user=bob).update(may_access=False, may_send=True)
    assert "Shared news" in page_of(client_of(bob))
    story = client_of(bob).get(reverse("delivery:message", args=[sent.pk]))
    assert "The prices of autumn" in story.content.decode()


@pytest.mark.proves("I9", "A4")
def test_with_the_operation_one_sees_the_whole_organization_and_nothing_else(client_of, message, charlie, dana):
    OperationGrant.objects.create(operation=Operation.VIEW_EMAIL_LOGS, user=charlie)
    assert "Offer for Bob" in page_of(client_of(charlie))
    assert "Offer for Bob" not in page_of(client_of(dana))


@pytest.mark.proves("A1", "F3")
@pytest.mark.parametrize("name", ["message", "log-row", "message-story"])
def test_a_stranger_gets_404_for_every_page_of_a_message(client_of, message, charlie, dana, name):
    for stranger in (charlie, dana):
        assert client_of(stranger).get(reverse(f"delivery:{name}", args=[message.pk])).status_code == 404


@pytest.mark.proves("F3")
def test_a_right_to_read_that_ends_takes_the_mail_out_of_the_log_at_once(
    client_of, make_message, shared_mailbox, alice, bob
):
    message = make_message(shared_mailbox, alice, "carol@example.org")
    client, url = client_of(bob), None
    url = reverse("delivery:message", args=[message.pk])
    assert client.get(url).status_code == 200
    MailboxGrant.objects.filter(user=bob).update(ends_at=timezone.now())
    assert client.get(url).status_code == 404


def test_who_only_sees_a_message_has_no_buttons_and_may_not_press_them(client_of, message, administrator):
    client = client_of(administrator)
    page = client.get(reverse("delivery:message", args=[message.pk])).content.decode()
    assert "Takes back what has not been sent" not in page
    assert client.post(reverse("delivery:decide", args=[message.pk, "cancel"])).status_code == 403
    assert client.post(reverse("delivery:resend", args=[message.pk])).status_code == 403
    assert states(message) == {"bob@example.org": State.QUEUED}


# --- Filters and paging -----------------------------------------------------------------------------------------


@pytest.mark.proves("I9")
def test_the_filters_narrow_the_log(client_of, make_message, make_mailbox, sending_mailbox, alice):
    other = make_mailbox("alice@second.example", alice)
    old = make_message(sending_mailbox, alice, "dave@example.org", subject="Old one")
    OutboxMessage.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=40))
    make_message(other, alice, "erin@example.org", subject="From the other")
    failed = make_message(sending_mailbox, alice, "frank@example.org", "grace@example.org", subject="Half failed")
    put(failed.recipients.filter(address__startswith="frank"), State.FAILED)
    everything = {"Old one", "From the other", "Half failed"}
    client = client_of(alice)

    def shown(**query: object) -> set[str]:
        page = page_of(client, **query)
        return {subject for subject in everything if subject in page}

    week_ago = (timezone.now() - timedelta(days=7)).date().isoformat()
    assert shown() == everything
    assert shown(state="failed") == {"Half failed"}
    assert shown(mailbox=other.pk) == {"From the other"}
    assert shown(q="GRACE") == {"Half failed"}
    assert shown(recipient="grace@example.org") == {"Half failed"}
    assert shown(recipient="example.org") == everything
    assert shown(recipient="example", q="from", state="queued") == {"From the other"}
    assert shown(author=alice.pk) == everything
    assert shown(origin="api") == set()
    assert shown(q="old ONE") == {"Old one"}
    assert shown(since=week_ago) == everything - {"Old one"}
    assert shown(until=week_ago) == {"Old one"}
    assert shown(q="nobody at all") == set()
    assert "Nothing matches" in page_of(client, q="nobody at all")


@pytest.mark.parametrize(
    "query",
    [
        {"state": "lost"},
        {"mailbox": "999999999999999999999999"},
        {"since": "yesterday"},
        {"until": "9999-12-31"},
        {"after": "9-9-9"},
        {"after": f"{10**30}-{10**30}"},
        {"q": "%_\\'\"\x01" * 20},
        {"q": "x\0y"},
        {"q": "subject_words : NEAR(a b) OR NOT -*"},
        {"recipient": "<>"},
        {"author": "9" * 30},
        {"origin": "x' OR 1"},
        {"before": "9-9-9"},
    ],
)
def test_a_filter_that_makes_no_sense_is_no_crash(client_of, message, alice, query):
    assert client_of(alice).get(LOG, query).status_code == 200


def test_of_somebody_elses_mailbox_the_filter_tells_nothing(client_of, make_mailbox, message, alice, bob):
    hidden = make_mailbox("hidden@example.org", bob)
    page = page_of(client_of(alice), mailbox=str(hidden.pk))
    assert "hidden@example.org" not in page


def test_the_pages_follow_each_other_without_gap_or_repetition(client_of, make_message, sending_mailbox, alice):
    now = timezone.now()
    for number in range(120):
        make_message(sending_mailbox, alice, f"r{number}@example.org", subject=f"Number {number};")
    OutboxMessage.objects.update(created_at=now)  # the same moment for all: the key decides
    client = client_of(alice)
    pages = [client.get(LOG)]
    while older := pages[-1].context["older"]:
        pages.append(client.get(f"{LOG}{older}"))
    listed = [row.message.subject for page in pages for row in page.context["page"].rows]
    assert listed == [f"Number {number};" for number in range(119, -1, -1)]
    back = [pages[-1]]
    while newer := back[-1].context["newer"]:
        back.append(client.get(f"{LOG}{newer}"))
    seen = [row.message.subject for page in reversed(back) for row in page.context["page"].rows]
    assert seen == [f"Number {number};" for number in range(119, -1, -1)]


@pytest.mark.proves("I9")
def test_the_address_keeps_the_filters_from_page_to_page(client_of, make_message, sending_mailbox, alice):
    for number in range(60):
        make_message(sending_mailbox, alice, f"r{number}@example.org", subject="Autumn")
        make_message(sending_mailbox, alice, f"r{number}@example.org", subject="Winter")
    client = client_of(alice)
    first = client.get(LOG, {"q": "autumn", "state": "queued", "origin": ""})
    assert first.context["older"].startswith("?q=autumn&state=queued&after=")
    second = client.get(f"{LOG}{first.context['older']}")
    rows = [*first.context["page"].rows, *second.context["page"].rows]
    assert [row.message.subject for row in rows] == ["Autumn"] * 60
    assert 'href="?q=autumn&amp;state=queued&amp;before=' in second.content.decode()


def test_the_log_needs_as_many_queries_for_many_messages_as_for_one(
    client_of, make_message, sending_mailbox, alice, assert_queries
):
    make_message(sending_mailbox, alice, "a@example.org")
    client = client_of(alice)

    def grow() -> None:
        for number in range(10):
            make_message(sending_mailbox, alice, *(f"r{number}-{one}@example.org" for one in range(5)))

    assert_queries.constant(lambda: client.get(LOG), grow)


def test_the_story_needs_as_many_queries_for_many_recipients_as_for_one(client_of, message, alice, assert_queries):
    client, url, now = client_of(alice), reverse("delivery:message", args=[message.pk]), timezone.now()

    def grow() -> None:
        for number in range(20):
            OutboxRecipient.objects.create(
                message=message, address=f"r{number}@example.org", not_before=now, state_at=now, expires_at=now
            )

    assert_queries.constant(lambda: client.get(url), grow)


def test_an_empty_log_says_what_will_be_here(client_of, charlie):
    page = page_of(client_of(charlie))
    assert "No mail sent yet" in page
    assert reverse("delivery:compose") in page


# --- One message ------------------------------------------------------------------------------------------------


@pytest.mark.proves("I9", "I2")
def test_the_story_tells_each_recipient_each_attempt_and_the_servers_own_words(
    client_of, make_message, sending_mailbox, alice, sink
):
    message = make_message(sending_mailbox, alice, "bob@example.org", "gone@example.org")
    sink.recipients = {"gone@example.org": "550 5.1.1 No such <user> here"}
    submit_message(message.pk)
    page = client_of(alice).get(reverse("delivery:message", args=[message.pk])).content.decode()
    assert "550 5.1.1 No such &lt;user&gt; here" in page
    assert f"127.0.0.1:{sink.port}" in page
    assert "Failed for 1 of 2" in page
    assert "gone@example.org stands on the suppression list, so it does not go there again." in page
    assert "Alice chose alice@example.org in From." in page


@pytest.mark.proves("I3", "I9")
def test_sending_again_asks_first_and_says_to_whom(client_of, make_message, mailbox, alice):
    many = make_message(mailbox, alice, *(f"p{number}@example.org" for number in range(8)))

    def asked(state: State, words: str) -> str:
        put(many.recipients.all(), state)
        page = client_of(alice).get(reverse("delivery:message", args=[many.pk])).content.decode()
        before, _, after = page.partition(f"{words}</summary>")
        assert before != page
        return after.partition("</details>")[0]

    people = "p0@example.org, p1@example.org, p2@example.org, p3@example.org, p4@example.org and 3 others"
    assert f"It goes once more to {people}, who did not" in asked(State.FAILED, "Send again to those who failed")
    once_more = asked(State.SENT, "Send once more")
    assert f"The same mail goes to {people} as a new message." in once_more
    assert "Yes, send it" in once_more
    assert reverse("delivery:resend", args=[many.pk]) in once_more


@pytest.mark.proves("I5")
def test_one_of_several_recipients_can_be_cancelled(client_of, make_message, mailbox, alice):
    message = make_message(mailbox, alice, "bob@example.org", "carol@example.org")
    client, url = client_of(alice), reverse("delivery:decide", args=[message.pk, "cancel"])
    page = client.get(reverse("delivery:message", args=[message.pk])).content.decode()
    assert 'aria-label="Cancel for this one: carol@example.org"' in page
    for told in ("Cancelled for carol@example.org.", "It had been cancelled before."):
        client.post(url, {"address": "carol@example.org"})
        assert told in client.get(reverse("delivery:message", args=[message.pk])).content.decode()
    assert states(message) == {"bob@example.org": "queued", "carol@example.org": "cancelled"}


def test_a_button_pressed_too_late_changes_nothing_and_says_so(client_of, message, alice):
    put(message.recipients.all(), State.SENT)
    response = client_of(alice).post(reverse("delivery:decide", args=[message.pk, "cancel"]), follow=True)
    assert "it had already been handed over" in response.content.decode()
    assert states(message) == {"bob@example.org": State.SENT}


@pytest.mark.proves("I6")
def test_a_copy_that_failed_says_that_the_mail_was_sent_and_offers_to_save_it_again(client_of, message, alice):
    put(message.recipients.all(), State.SENT)
    note = "The mail was sent; only the copy failed: the mailbox is full."
    OutboxMessage.objects.filter(pk=message.pk).update(sent_copy=SentCopy.FAILED, sent_copy_note=note)
    client = client_of(alice)
    page = client.get(reverse("delivery:message", args=[message.pk])).content.decode()
    assert note in page
    assert "Save the copy again" in page
    client.post(reverse("delivery:decide", args=[message.pk, "save-copy"]))
    message.refresh_from_db()
    assert message.sent_copy == SentCopy.WAITING


@pytest.mark.proves("R20")
def test_a_double_click_on_send_once_more_makes_one_message(client_of, message, alice):
    put(message.recipients.all(), State.SENT)
    client, url = client_of(alice), reverse("delivery:resend", args=[message.pk])
    answers = {client.post(url, {"submission_key": "one-click"}).url for _ in range(2)}
    assert len(answers) == 1
    assert message.resends.count() == 1


def test_a_decision_that_does_not_exist_is_404(client_of, message, alice):
    assert client_of(alice).post(reverse("delivery:decide", args=[message.pk, "explode"])).status_code == 404


def test_a_decision_is_never_taken_by_a_link(client_of, message, alice):
    assert client_of(alice).get(reverse("delivery:decide", args=[message.pk, "cancel"])).status_code == 405
    assert states(message) == {"bob@example.org": State.QUEUED}


@pytest.mark.proves("F3")
def test_who_sees_the_log_does_not_see_what_was_written(client_of, message, alice, administrator):
    url = reverse("delivery:message", args=[message.pk])
    assert client_of(alice).get(url).context["story"].text == "Hello\n"
    assert client_of(administrator).get(url).context["story"].text is None


@pytest.mark.proves("I6")
def test_mail_that_failed_waits_for_no_copy_in_sent(client_of, message, alice):
    OutboxMessage.objects.filter(pk=message.pk).update(sent_copy=SentCopy.WAITING)
    url = reverse("delivery:message", args=[message.pk])
    assert "None, since nothing was sent" not in client_of(alice).get(url).content.decode()
    put(OutboxRecipient.objects.filter(message=message), State.FAILED)
    assert "None, since nothing was sent" in client_of(alice).get(url).content.decode()
