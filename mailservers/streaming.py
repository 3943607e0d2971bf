"""Showing a check while it runs: one JSON object a line, read by static/check.js.

    {"begin": html}  where the steps will stand     {"step": html}  one finished step
    {"end": html, "ok": bool}  the verdict of a part    {"go": url}  leave for another page
    {"trigger": {event: detail}}  events for the page, as HX-Trigger would send them

Under ASGI the work runs in a thread of its own and each line leaves at once; served synchronously (WSGI, the test
client) the same lines come at the end.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from django.core.handlers.asgi import ASGIRequest
from django.db import connections
from django.http import HttpRequest, StreamingHttpResponse
from django.template.loader import render_to_string

from mailservers.checking import CheckReport
from mailservers.words import fix_of, shown_detail, step_label
from protocols.steps import Observer, Step, StepStatus

log = logging.getLogger(__name__)

Line = Mapping[str, object]
Emit = Callable[[Line], None]
POOL = ThreadPoolExecutor(max_workers=32, thread_name_prefix="check")  # a silent server holds a thread for 40 s


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
    request: HttpRequest, parts: Sequence[Part], finish: Callable[[list[CheckReport]], Sequence[Line]] | None = None
) -> StreamingHttpResponse:
    """Run the parts one after the other and show each step as it ends; `finish` may add lines of its own.

    Everything runs outside of any transaction, and may run after the visitor has gone.
    """

    def work(emit: Emit) -> None:
        reports = [_run(part, emit) for part in parts]
        for line in finish(reports) if finish else ():
            emit(line)

    return stream_lines(request, work)


def stream_lines(request: HttpRequest, work: Callable[[Emit], None]) -> StreamingHttpResponse:
    """Send each line that `work` emits as soon as the server kind allows."""
    if isinstance(request, ASGIRequest):
        content: object = _live(work)
    else:
        lines: list[bytes] = []
        work(lambda line: lines.append(_octets(line)))
        content = iter(lines)
    response = StreamingHttpResponse(content, content_type="application/x-ndjson")  # type: ignore[arg-type]
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


def show_step(emit: Emit, step: Step) -> None:
    show_line(emit, step_label(step.name), step.status, shown_detail(step), step.ms)


def show_line(emit: Emit, label: str, status: StepStatus, detail: str, ms: int) -> None:
    took = None if status is StepStatus.SKIPPED else ms
    context = {"label": label, "status": status.value, "detail": detail, "ms": took}
    emit({"step": render_to_string("mailservers/_check_step.html", context)})


def _run(part: Part, emit: Emit) -> CheckReport:
    emit({"begin": render_to_string("mailservers/_check_begin.html", {"label": part.label})})
    report = part.check(lambda step: show_step(emit, step))
    context = {"report": report, "diagnosis": report.diagnosis, "fix": fix_of(report.diagnosis, part.fills)}
    emit({"end": render_to_string("mailservers/_check_end.html", context), "ok": report.ok})
    return report


async def _live(work: Callable[[Emit], None]) -> AsyncIterator[bytes]:
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
            put(None)

    POOL.submit(contextvars.copy_context().run, run)
    while (item := await queue.get()) is not None:
        yield item


def _octets(line: Line) -> bytes:
    return json.dumps(line).encode() + b"\n"
