"""pytest-django's live server, which can tell when it has answered everything.

A browser that is closed leaves requests behind. One that is answered after its test finds no rows, or no database.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core.servers.basehttp import ThreadedWSGIServer
from django.test.testcases import LiveServerThread

LONGEST = 20.0  # seconds, for an answer that nobody waits for


class CountingServer(ThreadedWSGIServer):
    """Counts its connections, each from the moment it is accepted to the end of its last answer."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._changed = threading.Condition()
        self._open = 0
        self._newest: Any = None

    def process_request(self, request: socket.socket, client_address: Any) -> None:
        with self._changed:
            self._open += 1
            self._newest = client_address
            self._changed.notify_all()
        super().process_request(request, client_address)

    def process_request_thread(self, request: socket.socket, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

    def finish(self) -> None:
        """Return when all connections have ended. Raises TimeoutError where one goes on."""
        with socket.create_connection(self.server_address[:2], LONGEST) as last:
            self._wait_until(lambda: self._newest == last.getsockname())  # so all before it were accepted as well
        self._wait_until(lambda: self._open == 0)

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, LONGEST):
                raise TimeoutError(f"{self._open} connections go on after their browsers were closed")


LiveServerThread.server_class = CountingServer


@pytest.fixture
def finish_requests(request: pytest.FixtureRequest) -> Callable[[], None]:
    """`finish_requests()`: wait until the live server has answered what closed browsers had asked."""
    if "live_server" not in request.fixturenames:
        return lambda: None
    httpd: CountingServer = request.getfixturevalue("live_server").thread.httpd
    return httpd.finish
