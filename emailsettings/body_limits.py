"""Too large requests are refused before anything of them is kept.

Django writes the whole body of a request to a file before the first middleware sees it, whoever sends it and to what
page. So the size is watched at the door: what is announced as too large is not read, what turns out to be is cut off.
What remains of it is thrown away as far as a person may have meant it, since browsers read no answer while they send.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import cache
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.defaultfilters import filesizeformat
from django.urls import Resolver404, resolve

from accounts import signature
from delivery.forms import MAX_ATTACHMENTS_SIZE
from emailsettings.api import gate
from emailsettings.api.problems import problem_response, too_large

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

MARK: Final = "emailsettings.too_large"  # in the scope of a refused request: the limit, in octets
MAIL: Final = MAX_ATTACHMENTS_SIZE + 28 * 1024 * 1024  # text with images; files a little too large are told by the form
#: Octets by URL name. Everywhere else: what is kept in memory anyway.
LIMITS: Final = {
    "delivery:compose": MAIL,
    "delivery:reply": MAIL,
    "delivery:forward": MAIL,
    "delivery:reopen": MAIL,
    "delivery:save-draft": 28 * 1024 * 1024,  # text with images in base64
    "delivery:draft-files": MAX_ATTACHMENTS_SIZE + 1024 * 1024,
    "accounts:settings-signature": 2 * signature.LARGEST_TOTAL,  # its images come in base64
}
THROWN_AWAY: Final = 100 * 1024 * 1024  # octets of a refused body that are read all the same
PATIENCE: Final = 60.0  # seconds for that


def limit_at(path: str) -> int:
    """How many octets a request to `path` may bring."""
    try:
        name = resolve(path).view_name
    except Resolver404:
        name = ""
    if name.startswith("api:"):
        return _largest_at(name.removeprefix("api:"))
    return LIMITS.get(name, settings.FILE_UPLOAD_MAX_MEMORY_SIZE)


@cache
def _largest_at(operation_id: str) -> int:
    """Of all operations at the address of this one: whichever method it is, its own limit is asked behind the door."""
    from emailsettings.api.urls import address_of  # knows every router, which no start has to wait for

    try:
        found = address_of(operation_id).values()
    except StopIteration:  # the documents of the API themselves
        return gate.LARGEST_BODY
    return max(gate.limit_of(operation["operationId"]) for operation in found)


def limit_bodies(application: Application) -> Application:
    """The ASGI application behind the watch. What it refuses comes to it without a body, and marked."""

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            receive = _Watch(scope, receive).receive
        await application(scope, receive, send)

    return watched


class _Watch:
    """Counts what one request brings."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope, self._receive = scope, receive
        self._limit = -1  # not asked yet: most requests bring nothing
        self._size = 0
        self._has_ended = False

    async def receive(self) -> Message:
        if self._has_ended:
            return await self._disconnect()
        announced = _announced(self._scope)
        if announced and self._limit < 0 and announced > self._ask_limit():
            return await self._refuse(is_worth_reading=announced <= THROWN_AWAY)
        message = await self._receive()
        if message["type"] != "http.request":
            return message
        self._size += len(message.get("body", b""))
        self._has_ended = not message.get("more_body", False)
        if self._size and self._size > self._ask_limit():
            return await self._refuse(is_worth_reading=not self._has_ended)
        return message

    async def _disconnect(self) -> Message:
        """The one message that may follow a body; of a refused one there may be more to come."""
        while (message := await self._receive())["type"] == "http.request":
            pass
        return message

    def _ask_limit(self) -> int:
        if self._limit < 0:
            self._limit = limit_at(self._scope["path"])
        return self._limit

    async def _refuse(self, *, is_worth_reading: bool) -> Message:
        self._scope[MARK] = self._limit
        if is_worth_reading:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._throw_away(), PATIENCE)
        self._has_ended = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _throw_away(self) -> None:
        while self._size <= THROWN_AWAY:
            message = await self._receive()
            self._size += len(message.get("body", b""))
            if message["type"] != "http.request" or not message.get("more_body", False):
                return


def _announced(scope: Scope) -> int:
    """Content-Length; 0 where there is none that can be read."""
    value = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return int(value) if value.isdigit() and len(value) < 19 else 0


class TooLargeMiddleware:
    """Says 413 for what the watch refused: a problem document, a message on the open page, or a page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        limit = getattr(request, "scope", {}).get(MARK)
        if limit is None:
            return self.get_response(request)
        if request.path.startswith("/api/v1/"):
            return problem_response(too_large(limit))
        if "HX-Request" in request.headers:
            return _toast(limit)
        return render(request, "413.html", {"limit": limit}, status=413)


def _toast(limit: int) -> HttpResponse:
    """htmx leaves the page as it is, with all that was typed."""
    text = f"That is too much at once: at most {filesizeformat(limit)} can be sent here. Choose smaller files."
    return HttpResponse(status=413, headers={"HX-Trigger": json.dumps({"toast": {"text": text, "kind": "bad"}})})
