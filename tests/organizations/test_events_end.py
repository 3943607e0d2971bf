"""An open page's stream of news ends with the session that opened it (spec F3, threat T18)."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.models import Session
from django.db import connection
from django.http import HttpResponseBase
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from emailsettings import events, readers
from organizations import people
from organizations.models import User
from tests.conftest import PASSWORD

pytestmark = [pytest.mark.proves("F3", "T18"), pytest.mark.django_db(transaction=True)]

LONG = 20.0  # seconds that the stream would go on by itself


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(events, "STREAM_SECONDS", LONG)
    monkeypatch.setattr(events, "SESSION_SECONDS", 0.05)
    monkeypatch.setattr(events, "POLL_SECONDS", 0.02)


async def _deactivate(client: AsyncClient, user: User, by: User) -> None:
    await sync_to_async(people.deactivate)(user, by=by, now=timezone.now())


async def _sign_out(client: AsyncClient, user: User, by: User) -> None:
    assert (await client.post("/account/logout/")).status_code == 302


async def _change_the_password_elsewhere(client: AsyncClient, user: User, by: User) -> None:
    elsewhere = AsyncClient()
    await elsewhere.aforce_login(user)
    new = {"oldpassword": PASSWORD, "password1": "battery staple nine", "password2": "battery staple nine"}
    assert (await elsewhere.post("/account/password/change/", new)).status_code == 302


async def _remove(client: AsyncClient, user: User, by: User) -> None:
    await sync_to_async(people.remove)(user, by=by, now=timezone.now())


@pytest.mark.parametrize("end", [_sign_out, _deactivate, _change_the_password_elsewhere, _remove])
def test_the_stream_ends_soon_after_the_session(end, administrator, bob):
    async def seconds() -> float:
        client = AsyncClient()
        await client.aforce_login(bob)
        response = await client.get("/events")
        pieces = aiter(response.streaming_content)
        assert b"retry" in await anext(pieces)
        rest = asyncio.ensure_future(_read(pieces))
        await asyncio.sleep(0.3)
        assert not rest.done(), "it goes on while the session lives"
        await end(client, bob, administrator)
        began = time.monotonic()
        assert b"data:" not in await asyncio.wait_for(rest, LONG)
        assert (await client.get("/events")).status_code == 302
        return time.monotonic() - began

    assert async_to_sync(seconds)() < LONG / 2


async def _read(pieces) -> bytes:
    return b"".join([piece async for piece in pieces])


def test_a_session_that_ends_while_the_stream_is_asked_for_is_sent_to_the_sign_in_page(rf):
    async def answer() -> HttpResponseBase:
        request = rf.get("/events")
        request.auser = _nobody
        return await events.events(request)

    response = async_to_sync(answer)()
    assert (response.status_code, response["Location"]) == (302, "/account/login/?next=/events")


async def _nobody() -> AnonymousUser:
    return AnonymousUser()


def test_the_check_costs_two_look_ups_and_writes_nothing(client_of, alice):
    key = client_of(alice).session.session_key
    expires = Session.objects.get().expire_date
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert events._is_signed_in.__wrapped__(alice, key)
    assert [each["sql"].split()[0] for each in asked] == ["SELECT", "SELECT"]
    assert Session.objects.get().expire_date == expires


@pytest.mark.parametrize("key", ["", "x" * 32, "\x00", "' OR 1=1 --"])
def test_no_other_key_is_a_session(alice, key):
    assert not events._is_signed_in.__wrapped__(alice, key)


def test_a_session_of_somebody_else_is_not_ones_own(client_of, alice, bob):
    assert not events._is_signed_in.__wrapped__(alice, client_of(bob).session.session_key)
    assert events.SESSION_SECONDS <= 5


def test_an_open_page_holds_no_connection_to_the_database(alice):
    asking = set()

    @readers.by_readers
    def ask(number: int) -> int:
        asking.add(threading.current_thread().name)
        time.sleep(0.01)
        return User.objects.filter(pk=number).count()

    async def listen() -> bool:
        await User.objects.afirst()  # as the request does that opens the stream
        await readers.release_connection()
        assert sum(await asyncio.gather(*(ask(alice.pk) for _ in range(40)))) == 40
        return await sync_to_async(lambda: connection.connection is None)()

    assert async_to_sync(listen)()
    assert len(asking) <= readers.NUMBER


def test_a_question_that_fails_says_so_and_the_next_is_answered(alice):
    @readers.by_readers
    def fail() -> None:
        connection.ensure_connection()
        raise LookupError("nothing there")

    async def ask_both() -> bool:
        with pytest.raises(LookupError, match="nothing there"):
            await fail()
        return await readers.by_readers(events.may_know)(alice, "notifications", alice.pk)

    assert async_to_sync(ask_both)()
