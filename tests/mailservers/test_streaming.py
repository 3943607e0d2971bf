from __future__ import annotations

import asyncio
import json
import threading

from django.test import AsyncRequestFactory, RequestFactory

from mailservers.streaming import Emit, stream_lines


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
