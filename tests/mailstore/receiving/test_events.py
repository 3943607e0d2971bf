"""GET /events: an open page hears of what its user may know of, and of nothing else."""

from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db.models import F
from django.test import AsyncClient

from accounts.models import MailboxGrant
from emailsettings import events
from mailstore import schedule
from mailstore.models import SyncSchedule
from tests.mailstore.receiving.letters import make_folder

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def heard(monkeypatch):
    """`heard(user, *news)`: what the stream of `user` says when `news` are announced."""

    def listen(user, *announced, url="/events"):
        async def news(_):
            for item in announced:
                yield item

        monkeypatch.setattr(events, "_news", news)

        async def read():
            client = AsyncClient()
            await client.aforce_login(user)
            response = await client.get(url)
            assert response.status_code == 200
            assert response["Content-Type"] == "text/event-stream"
            return "".join([piece.decode() async for piece in response.streaming_content])

        return async_to_sync(read)()

    return listen


def test_news_carry_the_kind_and_the_number(heard, alice, mailbox):
    said = heard(alice, ("mailbox", mailbox.pk))
    assert said == f'retry: 500\n\ndata: {{"kind": "mailbox", "pk": {mailbox.pk}}}\n\n'


@pytest.mark.proves("T18")
def test_nobody_hears_of_what_they_may_not_see(heard, charlie, dana, administrator, mailbox):
    folder = make_folder(mailbox, "INBOX")
    news = [("mailbox", mailbox.pk), ("folder", folder.pk), ("check", 1), ("unheard-of", 1)]
    assert heard(charlie, *news) == "retry: 500\n\n"
    assert heard(dana, *news) == "retry: 500\n\n"
    assert '"kind": "mailbox"' in heard(administrator, *news)  # manages accounts
    assert '"kind": "folder"' not in heard(administrator, *news)  # reads nobody's mail


@pytest.mark.proves("T18")
def test_a_right_that_is_taken_away_ends_the_news_at_once(heard, bob, shared_mailbox):
    assert "data:" in heard(bob, ("mailbox", shared_mailbox.pk))
    MailboxGrant.objects.filter(user=bob).delete()
    assert "data:" not in heard(bob, ("mailbox", shared_mailbox.pk))


@pytest.mark.proves("F3")
def test_an_open_panel_hears_once_that_the_right_to_its_mailbox_has_ended(heard, bob, shared_mailbox, monkeypatch):
    monkeypatch.setattr(events, "SESSION_SECONDS", 0.0)
    grant = MailboxGrant.objects.filter(user=bob)
    grant.update(may_send=True)
    named = f"/events?panel={shared_mailbox.pk}"
    assert "data:" not in heard(bob, None, None, url=named)
    grant.update(may_send=False)
    assert heard(bob, None, None, url=named).count(f'data: {{"kind": "mailbox", "pk": {shared_mailbox.pk}}}') == 1
    assert "data:" not in heard(bob, None, url="/events?panel=x")


def test_silence_is_broken_by_a_comment(heard, alice, monkeypatch):
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.0)
    assert ": still here\n\n" in heard(alice, None)


def test_without_a_broker_the_stream_looks_at_the_rows(alice, mailbox, monkeypatch):
    monkeypatch.setattr(events, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(events, "HEARTBEAT_SECONDS", 0.0)  # a comment after each look that found nothing
    schedule.ensure(mailbox)

    async def first_news():
        async for piece in events._stream(alice, ""):
            if piece.startswith("data:"):
                return piece
            await sync_to_async(SyncSchedule.objects.update)(done=F("done") + 1)
        return "nothing"

    assert async_to_sync(first_news)() == f'data: {{"kind": "mailbox", "pk": {mailbox.pk}}}\n\n'


def test_the_stream_ends_by_itself(alice, monkeypatch):
    monkeypatch.setattr(events, "STREAM_SECONDS", 0.05)
    monkeypatch.setattr(events, "POLL_SECONDS", 0.01)

    async def whole():
        async with asyncio.timeout(30):
            return [piece async for piece in events._stream(alice, "")]

    assert async_to_sync(whole)() == ["retry: 500\n\n"]


def test_a_stranger_to_the_product_is_sent_to_the_sign_in(client):
    assert client.get("/events").status_code == 302
