"""Threads that answer requests, each kept with its database connection for the next one.

Django gives each asynchronous request a new thread, and a connection belongs to its thread: every request would open
one. On SQLite that reads the whole schema anew, and closing the last one writes the log back into the database.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from emailsettings.body_limits import Application, Receive, Scope, Send

MOST_IDLE: Final = 8  # threads that are kept; as many more as are needed at once come and go


class OneThreadHandler(ASGIHandler):
    """Runs all middleware and the view in one go on the thread of the request.

    Django's own goes back to the loop between the last middleware and the view. The few asynchronous views are waited
    for on the thread; what they stream runs on the loop as ever.
    """

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        return await sync_to_async(self.get_response)(request)


def on_kept_threads(application: Application) -> Application:
    """The ASGI application, each request of which has one thread for itself: the one that was free last."""
    idle: list[ThreadPoolExecutor] = []

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        thread = idle.pop() if idle else ThreadPoolExecutor(1, thread_name_prefix="request")
        try:
            async with ThreadSensitiveContext(executor=thread):
                await application(scope, receive, send)
        finally:
            if len(idle) < MOST_IDLE:
                idle.append(thread)
            else:
                thread.submit(connections.close_all)
                thread.shutdown(wait=False)

    return answered
