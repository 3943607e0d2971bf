"""`/mailboxes/{id}/estimate`, `/download-again` and `/default-sender` (spec E2, E5, E10, L1)."""

from __future__ import annotations

import pytest

from accounts.models import DefaultSender, Mailbox, MailboxGrant
from mailservers.streaming import MOST_AT_ONCE, PLACES
from mailstore import deletion, download_api
from mailstore.estimate import Estimate
from mailstore.models import Message
from organizations.models import AuditEntry
from tests.api.conftest import Api, assert_problem, fields
from tests.mailstore.panel.conftest import mail

pytestmark = [pytest.mark.proves("L1"), pytest.mark.django_db]


@pytest.fixture
def api(api_of, alice, mailbox) -> Api:
    return api_of(alice)


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """The periods that a server was asked about; there is a year's mail on it."""
    periods: list[str] = []

    def estimate(mailbox: Mailbox, now: object) -> Estimate:
        periods.append(str(mailbox.download_period))
        return Estimate(messages=30_000, size=60_000_000, is_whole=True)

    monkeypatch.setattr(download_api, "estimate_download", estimate)
    return periods


# --- How much there is ------------------------------------------------------------------------------------------


@pytest.mark.proves("E2")
def test_the_estimate_counts_messages_octets_and_seconds(api, mailbox, asked):
    answer = api.get(f"/mailboxes/{mailbox.pk}/estimate")
    assert answer.data == {
        "period": "week", "messages": 30_000, "size": 60_000_000, "is_whole": True, "seconds": 120,
    }  # fmt: skip
    assert asked == ["week"]


def test_another_period_is_asked_about_without_being_chosen(api, mailbox, asked):
    assert api.get(f"/mailboxes/{mailbox.pk}/estimate?period=everything").data["period"] == "everything"
    assert asked == ["everything"]
    mailbox.refresh_from_db()
    assert mailbox.download_period == "week"
    assert fields(api.get(f"/mailboxes/{mailbox.pk}/estimate?period=decade")) == ["period"]


def test_a_server_that_says_nothing_is_no_error(api, mailbox):
    Mailbox.objects.update(login_refusals=1)  # a refused password is not tried again from here
    answer = api.get(f"/mailboxes/{mailbox.pk}/estimate")
    assert (answer.status_code, answer.data["messages"], answer.data["is_whole"]) == (200, None, False)


def test_a_mailbox_that_only_sends_has_nothing_to_download(api, mailbox):
    Mailbox.objects.update(imap_host="")
    assert_problem(api.get(f"/mailboxes/{mailbox.pk}/estimate"), 409, "only-sends")
    assert_problem(api.post(f"/mailboxes/{mailbox.pk}/download-again"), 409, "only-sends")


def test_only_a_few_servers_are_asked_at_once(api, alice, mailbox, asked):
    taken = [PLACES.take(alice.pk) for _ in range(MOST_AT_ONCE)]
    try:
        answer = api.get(f"/mailboxes/{mailbox.pk}/estimate")
    finally:
        for _ in filter(None, taken):
            PLACES.give_back(alice.pk)
    assert_problem(answer, 429, "too-many-checks")
    assert asked == []


# --- Downloading again ------------------------------------------------------------------------------------------


@pytest.mark.proves("E10")
def test_stored_mail_goes_and_the_download_begins_again(
    api, mailbox, deliver, monkeypatch, django_capture_on_commit_callbacks
):
    asked_for: list[int] = []
    monkeypatch.setattr(deletion, "request_sync", asked_for.append)
    deliver(mailbox, mail("Lunch"))
    for number in (1, 0):  # harmless when repeated
        with django_capture_on_commit_callbacks(execute=True):
            answer = api.post(f"/mailboxes/{mailbox.pk}/download-again")
        assert answer.status_code == 202
        assert not Message.objects.filter(mailbox=mailbox).exists()
        assert AuditEntry.objects.filter(action="mailbox.emptied").latest("pk").detail == {"messages": number}
    assert asked_for == [mailbox.pk, mailbox.pk]


def test_who_only_sets_it_up_does_not_empty_it(api_of, bob, charlie, mailbox, deliver):
    deliver(mailbox, mail("Lunch"))
    Mailbox.objects.update(is_shared=True)
    MailboxGrant.objects.create(mailbox=mailbox, user=bob, may_access=True, may_send=True, may_setup=True)
    assert_problem(api_of(bob).post(f"/mailboxes/{mailbox.pk}/download-again"), 403, "forbidden")
    assert_problem(api_of(charlie).post(f"/mailboxes/{mailbox.pk}/download-again"), 404, "not-found")
    assert Message.objects.filter(mailbox=mailbox).exists()


# --- The default sender -----------------------------------------------------------------------------------------


@pytest.mark.proves("E5")
def test_everybody_chooses_a_default_sender(api, api_of, alice, bob, mailbox):
    assert api.get("/default-sender").data == {"mailbox": None}
    for _ in range(2):
        assert api.call("PUT", "/default-sender", {"mailbox": mailbox.pk}).data == {"mailbox": mailbox.pk}
    assert api.get("/default-sender").data == {"mailbox": mailbox.pk}
    assert api_of(bob).get("/default-sender").data == {"mailbox": None}
    assert DefaultSender.objects.get().user == alice
    assert api.call("PUT", "/default-sender", {"mailbox": None}).data == {"mailbox": None}
    assert not DefaultSender.objects.exists()


def test_a_mailbox_from_which_one_may_not_send_is_none(api, api_of, bob, dana, make_mailbox, mailbox):
    api.call("PUT", "/default-sender", {"mailbox": mailbox.pk})
    theirs = make_mailbox("dana@elsewhere.example", dana)
    his = make_mailbox("bob@example.org", bob)
    for pk in (theirs.pk, his.pk, 2**62):
        assert fields(api.call("PUT", "/default-sender", {"mailbox": pk})) == ["mailbox"]
    for wrong in ({}, {"mailbox": "1"}, {"mailbox": 0}, {"mailbox": [mailbox.pk]}, {"mailbox": 1e30}):
        assert fields(api.call("PUT", "/default-sender", wrong))
    assert DefaultSender.objects.get().mailbox == mailbox


def test_a_bound_token_keeps_to_its_mailboxes(api, api_of, alice, mailbox, make_mailbox):
    other = make_mailbox("second@example.org", alice)
    api.call("PUT", "/default-sender", {"mailbox": other.pk})
    bound = api_of(alice, mailboxes=[mailbox])
    assert bound.get("/default-sender").data == {"mailbox": None}
    assert_problem(bound.call("PUT", "/default-sender", {"mailbox": mailbox.pk}), 403, "token-bound")
