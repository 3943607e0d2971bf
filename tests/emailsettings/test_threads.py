"""The threads that answer requests, and the connections they keep."""

from __future__ import annotations

import asyncio
import threading

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from emailsettings.threads import MOST_IDLE, on_kept_threads

SCOPE = {"type": "http"}


class Requests:
    """An application that notes the thread of each request; all that are asked together wait for each other."""

    def __init__(self) -> None:
        self.threads: list[int] = []
        self.application = on_kept_threads(self._answer)

    async def _answer(self, scope, receive, send) -> None:
        def work() -> None:
            self.threads.append(threading.get_ident())
            self.all_there.wait(10)

        await sync_to_async(work)()

    def ask(self, number: int) -> None:
        """So many at the same time."""
        self.all_there = threading.Barrier(number)

        async def all_of_them() -> None:
            await asyncio.gather(*(self.application(SCOPE, None, None) for _ in range(number)))

        asyncio.run(all_of_them())


def test_requests_one_after_the_other_share_a_thread():
    requests = Requests()
    requests.ask(1)
    requests.ask(1)
    assert len(set(requests.threads)) == 1


def test_requests_at_the_same_time_have_a_thread_each_and_only_some_are_kept():
    requests = Requests()
    requests.ask(MOST_IDLE + 3)
    assert len(set(requests.threads)) == MOST_IDLE + 3
    kept = set(requests.threads)
    requests.threads.clear()
    requests.ask(MOST_IDLE)
    assert set(requests.threads) < kept


def test_a_thread_is_free_again_after_a_defect():
    async def broken(scope, receive, send) -> None:
        await sync_to_async(lambda: threads.append(threading.get_ident()))()
        raise LookupError

    threads: list[int] = []
    application = on_kept_threads(broken)
    for _ in range(2):
        with pytest.raises(LookupError):
            asyncio.run(application(SCOPE, None, None))
    assert threads[0] == threads[1]


@pytest.mark.django_db(transaction=True)
def test_the_next_request_finds_the_connection_of_the_one_before():
    found: list[object] = []

    async def look(scope, receive, send) -> None:
        def ask() -> None:
            connection.ensure_connection()
            found.append(connection.connection)

        await sync_to_async(ask)()

    async def close(scope, receive, send) -> None:
        await sync_to_async(lambda: connection.close())()

    async def application(scope, receive, send) -> None:
        await scope["do"](scope, receive, send)

    kept = on_kept_threads(application)
    for work in (look, look, close):
        asyncio.run(kept({**SCOPE, "do": work}, None, None))
    assert found[0] is not None
    assert found[0] is found[1]
