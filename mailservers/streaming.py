"""Showing a check while it runs: one JSON object a line, read by static/check.js.

    {"begin": html}  where the steps will stand     {"step": html}  one finished step
    {"end": html, "ok": bool}  the verdict of a part    {"go": url}  leave for another page
    {"trigger": {event: detail}}  events for the page, as HX-Trigger would send them

Under ASGI the work runs in a thread of its own and each line leaves at once; served synchronously (WSGI, the test
client) the same lines come at the end. A person may have a few checks running at once, and the next is told so.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

from django.contrib import messages
from django.core.handlers.asgi import ASGIRequest
from django.db import connections
from django.http import HttpRequest, StreamingHttpResponse
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.encoding import iri_to_uri

from mailservers.allowing import told_to
from mailservers.checking import CheckReport
from mailservers.words import fix_of, shown_detail, step_label
from organizations.models import User
from organizations.requests import SignedInRequest
from protocols.steps import Observer, Step, StepStatus

log = logging.getLogger(__name__)

Line = Mapping[str, object]
Emit = Callable[[Line], None]
POOL = ThreadPoolExecutor(max_workers=32, thread_name_prefix="check")  # a silent server holds a thread for 40 s
MOST_AT_ONCE = 3  # checks of one person in this process, so that nobody's silent servers hold all threads


class _Places:
    """How many checks each person has running. Callable from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: Counter[int | None] = Counter()

    def take(self, user_pk: int | None) -> bool:
        with self._lock:
            if self._taken[user_pk] >= MOST_AT_ONCE:
                return False
            self._taken[user_pk] += 1
            return True

    def give_back(self, user_pk: int | None) -> None:
        with self._lock:
            self._taken[user_pk] -= 1
            if not self._taken[user_pk]:
                del self._taken[user_pk]


PLACES = _Places()


@dataclass(frozen=True, slots=True)
class Part:
    """One connection to be checked.

    label: over its steps, such as "Receiving"; empty where there is one part only.
    check: runs it and tells the observer of each step.
    fills: names of the form's fields for those of a fix ("port" -> "imap_port"), where they differ.
    """

    label: str
    check: Callable[[Observer], CheckReport]
    fills: Mapping[str, str] = field(default_factory=dict)


def stream_check(
    request: SignedInRequest, parts: Sequence[Part], finish: Callable[[list[CheckReport]], Sequence[Line]] | None = None
) -> StreamingHttpResponse:
    """Run the parts one after the other and show each step as it ends; `finish` may add lines of its own.

    Everything runs outside of any transaction, and may run after the visitor has gone.
    """

    def work(emit: Emit) -> None:
        reports = [run_part(part, emit, reader=request.user) for part in parts]
        for line in finish(reports) if finish else ():
            emit(line)

    return stream_lines(request, work)


def stream_lines(request: HttpRequest, work: Callable[[Emit], None]) -> StreamingHttpResponse:
    """Send each line that `work` emits as soon as the server kind allows.

    A person whose checks hold all places gets one "end" line that says so, and `work` is not called. A browser that
    sends the form by itself, since static/check.js was not there yet, is led back to the page.
    """
    if "text/html" in request.headers.get("Accept", "") and "application/x-ndjson" not in request.headers["Accept"]:
        messages.warning(request, "That was quicker than the page. Please press it once more.")
        place = urlsplit(request.headers.get("Referer", "")).path.lstrip("/")
        location = iri_to_uri(f"/{place}") if place else reverse("home")
        nothing: object = _nothing() if isinstance(request, ASGIRequest) else ()
        return StreamingHttpResponse(nothing, status=HTTPStatus.SEE_OTHER, headers={"Location": location})  # type: ignore[arg-type]
    if isinstance(request, ASGIRequest):
        user = getattr(request, "user", None)
        content: object = _live(work, user.pk if user is not None else None)
    else:
        lines: list[bytes] = []
        work(lambda line: lines.append(_octets(line)))
        content = iter(lines)
    response = StreamingHttpResponse(content, content_type="application/x-ndjson")  # type: ignore[arg-type]
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


async def _nothing() -> AsyncIterator[bytes]:
    """No body, as ASGI wants it: of an iterator that is not asynchronous Django warns."""
    return
    yield b""


def show_step(emit: Emit, step: Step) -> None:
    show_line(emit, step_label(step.name), step.status, shown_detail(step), step.ms)


def show_line(emit: Emit, label: str, status: StepStatus, detail: str, ms: int) -> None:
    took = None if status is StepStatus.SKIPPED else ms
    context = {"label": label, "status": status.value, "detail": detail, "ms": took}
    emit({"step": render_to_string("mailservers/_check_step.html", context)})


def run_part(part: Part, emit: Emit, *, reader: User) -> CheckReport:
    """Run one part and show its steps and its verdict in the words for `reader`."""
    emit({"begin": render_to_string("mailservers/_check_begin.html", {"label": part.label})})
    report = part.check(lambda step: show_step(emit, step))
    diagnosis = told_to(reader, report.diagnosis)
    context = {"report": report, "diagnosis": diagnosis, "fix": fix_of(diagnosis, part.fills)}
    emit({"end": render_to_string("mailservers/_check_end.html", context), "ok": report.ok})
    return report


async def _live(work: Callable[[Emit], None], user_pk: int | None) -> AsyncIterator[bytes]:
    """Run `work` in a thread, whose end gives the person's place back, also after the visitor has gone."""
    if not PLACES.take(user_pk):
        yield _octets({"end": render_to_string("mailservers/_check_too_many.html"), "ok": False})
        return
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    def put(item: bytes | None) -> None:
        try:
            loop.call_soon_threadsafe(queue.put_nowait, item)
        except RuntimeError:
            log.debug("The visitor and the event loop are gone; the check ends unseen.")

    def run() -> None:
        try:
            work(lambda line: put(_octets(line)))
        except Exception:
            log.exception("A check broke off.")
            put(_octets({"end": render_to_string("mailservers/_check_broken.html"), "ok": False}))
        finally:
            connections.close_all()
            PLACES.give_back(user_pk)
            put(None)

    try:
        POOL.submit(contextvars.copy_context().run, run)
    except RuntimeError:  # the process is stopping and takes no more work
        PLACES.give_back(user_pk)
        raise
    while (item := await queue.get()) is not None:
        yield item


def _octets(line: Line) -> bytes:
    return json.dumps(line).encode() + b"\n"
