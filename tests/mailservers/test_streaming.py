from __future__ import annotations

import asyncio
import json
import threading
import time
from types import SimpleNamespace

import pytest
from django.http import StreamingHttpResponse
from django.test import AsyncRequestFactory, RequestFactory

from mailservers import streaming
from mailservers.streaming import MOST_AT_ONCE, PLACES, Emit, stream_lines

ALICE, BOB = SimpleNamespace(pk=1), SimpleNamespace(pk=2)


def test_each_line_leaves_while_the_work_goes_on():
    seen = threading.Event()

    def work(emit: Emit) -> None:
        emit({"step": "first"})
        assert seen.wait(5), "the first line was held back until the end"
        emit({"step": "second"})

    async def read() -> list[dict[str, str]]:
        response = stream_lines(AsyncRequestFactory().post("/"), work)
        lines = []
        async for octets in response:
            lines.append(json.loads(octets))
            seen.set()
        return lines

    assert asyncio.run(read()) == [{"step": "first"}, {"step": "second"}]


def test_a_form_that_was_quicker_than_the_page_is_led_back_without_a_warning(monkeypatch):
    monkeypatch.setattr(streaming.messages, "warning", lambda request, text: None)
    request = AsyncRequestFactory().post(
        "/", headers={"Accept": "text/html", "Referer": "http://testserver/providers/"}
    )

    async def read() -> list[bytes]:
        response = stream_lines(request, lambda emit: None)
        assert (response.status_code, response["Location"]) == (303, "/providers/")
        return [octets async for octets in response]

    assert asyncio.run(read()) == []


def test_a_fault_of_ours_is_admitted_and_ends_the_stream(expected_errors):
    expected_errors("A check broke off")

    def work(emit: Emit) -> None:
        emit({"step": "first"})
        raise RuntimeError("a secret detail")

    async def read() -> bytes:
        response = stream_lines(AsyncRequestFactory().post("/"), work)
        return b"".join([octets async for octets in response])

    text = asyncio.run(read()).decode()
    assert "The check could not be finished." in text
    assert "a secret detail" not in text


def test_a_visitor_who_leaves_breaks_nothing():
    finished = threading.Event()
    left = threading.Event()

    def work(emit: Emit) -> None:
        emit({"step": "first"})
        left.wait(5)
        emit({"step": "second"})
        finished.set()

    async def read_one() -> None:
        response = stream_lines(AsyncRequestFactory().post("/"), work)
        async for _ in response:
            break

    asyncio.run(read_one())
    left.set()
    assert finished.wait(5)


def test_served_synchronously_the_same_lines_come_at_the_end():
    response = stream_lines(RequestFactory().post("/"), lambda emit: emit({"step": "only"}))
    assert b"".join(response.streaming_content) == b'{"step": "only"}\n'
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("breaks", [False, True])
def test_one_person_runs_three_checks_at_once_and_the_next_is_told_so(breaks, expected_errors):
    if breaks:
        expected_errors("A check broke off")
    servers_answer = threading.Event()

    def stalled(emit: Emit) -> None:
        emit({"step": "connecting"})
        assert servers_answer.wait(5)
        if breaks:
            raise RuntimeError("a fault of ours")

    async def begin(user: SimpleNamespace) -> tuple[StreamingHttpResponse, dict[str, object]]:
        request = AsyncRequestFactory().post("/")
        request.user = user
        response = stream_lines(request, stalled)
        return response, json.loads(await anext(aiter(response)))

    async def several() -> list[dict[str, object]]:
        kept = [await begin(user) for user in [*[ALICE] * MOST_AT_ONCE, ALICE, BOB]]
        return [line for _, line in kept]

    try:
        *running, refused, of_bob = asyncio.run(several())
    finally:
        servers_answer.set()
    assert running == [{"step": "connecting"}] * 3
    assert refused["ok"] is False
    assert "Three of your checks are still running. Wait for one to end." in str(refused["end"])
    assert of_bob == {"step": "connecting"}
    await_free_places()
    assert asyncio.run(begin(ALICE))[1] == {"step": "connecting"}
    await_free_places()


def test_a_process_that_stops_gives_the_place_back(monkeypatch):
    def stopping(*_: object) -> None:
        raise RuntimeError("cannot schedule new futures after shutdown")

    async def read() -> None:
        request = AsyncRequestFactory().post("/")
        request.user = ALICE
        await anext(aiter(stream_lines(request, lambda emit: None)))

    monkeypatch.setattr(streaming.POOL, "submit", stopping)
    with pytest.raises(RuntimeError, match="shutdown"):
        asyncio.run(read())
    await_free_places()


def await_free_places() -> None:
    """Wait until every thread has given its place back, which it does after the visitor has gone too."""
    end = time.monotonic() + 20
    while PLACES._taken and time.monotonic() < end:
        time.sleep(0.01)
    assert not PLACES._taken
