"""Requests that are too large are refused before anything of them is kept."""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
from collections.abc import Iterable

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse

from emailsettings import body_limits
from emailsettings.asgi import application
from emailsettings.body_limits import LIMITS, limit_at
from tests.architecture.test_urls import routes

MEGABYTE = 1024 * 1024
PIECE = b"x" * (MEGABYTE // 4)


class Answer:
    """What the application said to one request, and how much of the body it took."""

    def __init__(self, path: str, pieces: Iterable[bytes], headers: dict[str, str]) -> None:
        self.status, self.headers, self.body, self.taken = 0, dict[str, str](), b"", 0
        self._pieces = iter(pieces)
        self._answered = asyncio.Event()
        raw = [(name.lower().encode(), value.encode()) for name, value in {"Host": "localhost", **headers}.items()]
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": raw, "root_path": ""}
        asyncio.run(asyncio.wait_for(application(scope, self._receive, self._send), 60))

    async def _receive(self) -> dict[str, object]:
        await asyncio.sleep(0)
        piece = next(self._pieces, None)
        if piece is not None:
            self.taken += len(piece)
            return {"type": "http.request", "body": piece, "more_body": True}
        if not self._answered.is_set() and not hasattr(self, "_ended"):
            self._ended = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._answered.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message.get("body", b"")
            if not message.get("more_body"):
                self._answered.set()


@pytest.fixture
def kept(monkeypatch) -> list[int]:
    """How many octets Django wrote of each body."""
    sizes: list[int] = []

    class Counting(tempfile.SpooledTemporaryFile):
        def write(self, octets: bytes) -> int:
            sizes.append(len(octets))
            return super().write(octets)

    monkeypatch.setattr("django.core.handlers.asgi.tempfile.SpooledTemporaryFile", Counting)
    return sizes


def test_what_is_announced_as_too_large_is_not_kept_at_all(kept):
    size = 3 * MEGABYTE
    answer = Answer(reverse("account_login"), [PIECE] * 12, {"Content-Length": str(size)})
    assert answer.status == 413
    assert "At most 2.5" in answer.body.decode()
    assert sum(kept) == 0
    assert answer.taken == size, "browsers read the answer once all is sent"


def test_a_body_without_a_length_is_cut_off_at_the_limit(kept):
    form = {"Content-Type": "multipart/form-data; boundary=x", "Transfer-Encoding": "chunked"}
    answer = Answer(reverse("account_login"), [PIECE] * 40, form)
    assert answer.status == 413
    assert sum(kept) <= settings.FILE_UPLOAD_MAX_MEMORY_SIZE


def test_beyond_all_measure_the_answer_comes_at_once(kept):
    answer = Answer(reverse("account_login"), [PIECE], {"Content-Length": str(10**12)})
    assert (answer.status, sum(kept)) == (413, 0)


def test_throwing_away_comes_to_an_end(monkeypatch):
    monkeypatch.setattr(body_limits, "THROWN_AWAY", 5 * MEGABYTE)
    answer = Answer(reverse("account_login"), itertools.repeat(PIECE), {"Transfer-Encoding": "chunked"})
    assert answer.status == 413


def test_a_program_gets_a_problem_document():
    answer = Answer("/api/v1/mailboxes", [PIECE] * 12, {"Content-Length": str(3 * MEGABYTE)})
    assert (answer.status, answer.headers["content-type"]) == (413, "application/problem+json")
    assert json.loads(answer.body)["detail"] == "This address takes at most 262,144 octets."


def test_an_open_page_stays_and_shows_a_message():
    answer = Answer(reverse("account_login"), [PIECE] * 12, {"Content-Length": "3145728", "HX-Request": "true"})
    assert (answer.status, answer.body) == (413, b"")
    assert "Choose smaller files" in json.loads(answer.headers["hx-trigger"])["toast"]["text"]


@pytest.mark.django_db(transaction=True)
def test_what_is_small_enough_comes_through_whole(kept):
    answer = Answer(reverse("account_login"), [b"login=a&x=", PIECE], {"Content-Type": "application/octet-stream"})
    assert answer.status != 413
    assert sum(kept) == len(PIECE) + len(b"login=a&x=")


def test_a_length_that_is_none_is_measured():
    for length in ("-1", "x", "9" * 40, "٣"):
        answer = Answer(reverse("account_login"), [PIECE] * 12, {"Content-Length": length})
        assert answer.status == 413


def test_mail_and_signatures_may_be_larger():
    assert limit_at(reverse("delivery:compose")) > 30 * MEGABYTE
    assert limit_at(reverse("accounts:settings-signature", args=[1])) == 8 * MEGABYTE
    assert limit_at("/nowhere/at/all") == limit_at(reverse("account_login")) == 2_621_440
    assert set(LIMITS) <= {name for name, _, _ in routes()}


def test_the_page_for_damaged_requests_is_drawn_without_a_request():
    assert "could not be understood" in render_to_string("400.html")
