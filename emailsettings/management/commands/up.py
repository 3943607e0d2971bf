"""Start all parts, watch them, and stop them in order: `manage.py up` (what `./run` ends in)."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from threading import Event
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection
from django.utils import timezone

from delivery import restoring
from emailsettings import embedded
from emailsettings.parts import Part, PartFailed, celery
from emailsettings.preflight import CannotStart, check_port, check_socket_path, port_from, take_lock
from emailsettings.preparing import load_data
from organizations import setup


class Command(BaseCommand):
    help = "Start web, workers, watcher, beat, broker and sandbox; Ctrl-C stops them in order."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        self.stopping = Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask_to_stop)
        try:
            host, port = os.environ.get("HOST") or "127.0.0.1", port_from(os.environ.get("PORT") or "8000")
            self.address = f"http://{_in_url(_near(host))}:{port}/"
            check_socket_path(settings.VALKEY_SOCKET)
            lock = take_lock(settings.STATE_DIR, self.address)
            check_port(host, port)
            parts = self._parts(host, port)
            with lock, self._running(parts):
                self._greet()
                self._watch(parts)
        except (CannotStart, PartFailed) as exc:
            self.stderr.write(f"emailsettings cannot start: {exc}")  # as ./run says it, without the name of a class
            raise SystemExit(1) from exc

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping.set()

    def _parts(self, host: str, port: int) -> list[Part]:
        """In the order of their start; they stop in the reverse order."""
        logs, python, near = settings.STATE_DIR / "logs", sys.executable, _near(host)
        slots = str(settings.SYNC_SLOTS)
        alone = ("--without-gossip", "--without-mingle")
        worker = (*alone, "--pool", "prefork")
        parts = [
            Part(
                "broker",
                embedded.command(settings.VALKEY_SOCKET),
                logs / "broker.log",
                is_ready=lambda: embedded.is_answering(settings.VALKEY_SOCKET),
            ),
            Part(
                "web",
                [
                    *(python, "-m", "granian", "--interface", "asginl", "--host", host, "--port", str(port)),
                    *("--workers", "1", "--workers-kill-timeout", "3", "--no-ws", "emailsettings.asgi:application"),
                ],
                logs / "web.log",
                is_ready=lambda: _answers(near, port),
            ),
            Part(
                "worker-sync",
                celery("worker", "-n", "sync@%h", "-Q", "people,sync,due", "--concurrency", slots, *worker),
                logs / "worker-sync.log",
            ),
            Part(  # threads of one process share the sessions that are kept
                "worker-prompt",
                celery("worker", "-n", "prompt@%h", "-Q", "prompt", "--concurrency", "4", *alone, "--pool", "threads"),
                logs / "worker-prompt.log",
            ),
            Part(
                "worker-send",
                celery("worker", "-n", "send@%h", "-Q", "people,send", "--concurrency", "1", *worker),
                logs / "worker-send.log",
            ),
            Part("watch", [python, str(settings.BASE_DIR / "manage.py"), "watch"], logs / "watch.log", grace=5),
            Part("beat", celery("beat"), logs / "beat.log", grace=3),
        ]
        if settings.SANDBOX_IMAP_PORT:
            parts.insert(1, self._sandbox())
        return parts

    def _sandbox(self) -> Part:
        ports = settings.SANDBOX_IMAP_PORT, settings.SANDBOX_SMTP_PORT
        return Part(
            "sandbox",
            [
                *(sys.executable, "-m", "sandbox", "--state", str(settings.SANDBOX_DIR)),
                *("--imap-port", str(ports[0]), "--smtp-port", str(ports[1])),
                *("--password-file", str(settings.SANDBOX_DIR / "password"), "--parent", str(os.getpid())),
            ],
            settings.STATE_DIR / "logs" / "sandbox.log",
            grace=3,
            is_ready=lambda: all(_accepts("127.0.0.1", each) for each in ports),
        )

    @contextlib.contextmanager
    def _running(self, parts: list[Part]) -> Iterator[None]:
        """Start in three rounds, so that the first page need not share the processors with what can wait."""
        embedded.clear_stale(settings.VALKEY_SOCKET)
        settings.STATIC_ROOT.mkdir(exist_ok=True)  # whitenoise asks for it, even when nothing was collected
        first = [part for part in parts if part.name in ("broker", "sandbox")]
        web = [part for part in parts if part.name == "web"]
        try:
            _start(first)
            self._prepare_database(first)
            _start(web)
            _wait(web)
            _start([part for part in parts if part not in first + web])
            yield
        finally:
            self._stop(parts)

    def _prepare_database(self, starting: list[Part]) -> None:
        """Migrate, and load catalog and rules, while the first parts come up; nothing that uses them runs yet."""
        call_command("migrate", verbosity=0, interactive=False)
        _wait(starting)  # the sandbox makes the password that the catalog shows
        load_data(sandbox=bool(settings.SANDBOX_IMAP_PORT))
        if restore := restoring.notice(timezone.now()):
            self.stdout.write(restoring.in_words(restore))

    def _greet(self) -> None:
        if settings.SANDBOX_IMAP_PORT:
            password = (settings.SANDBOX_DIR / "password").read_text().strip()
            self.stdout.write("Sandbox mailboxes to try: alice@, bob@, carol@ and support@sandbox.test")
            self.stdout.write(f"Their password:           {password}")
        if not setup.is_set_up():
            token = setup.make_setup_link(timezone.now())
            self.stdout.write(f"Make the first administrator: {self.address}setup/{token}")
        self.stdout.write(self.style.SUCCESS(f"emailsettings is running at {self.address}") + "  (Ctrl-C stops it)")
        self.stdout.flush()
        connection.close()

    def _watch(self, parts: list[Part]) -> None:
        while not self.stopping.wait(0.25):
            for part in parts:
                if part.look_after(time.monotonic()):
                    self.stderr.write(f"{part.name} ended and is started again. Its last words: {part.last_words()}")

    def _stop(self, parts: list[Part]) -> None:
        """Nothing new is scheduled, then workers finish, then the pages go, then what they stood on."""
        if any(part.is_running for part in parts):
            self.stdout.write("Stopping ...")
        for part in parts:
            if part.name.startswith("worker") or part.name in ("beat", "watch"):
                part.ask_to_stop()
        for part in reversed(parts):
            part.stop()
        settings.VALKEY_SOCKET.unlink(missing_ok=True)


def _start(parts: list[Part]) -> None:
    for part in parts:
        part.start()


def _wait(parts: list[Part]) -> None:
    for part in parts:
        part.wait_until_ready(30)


def _near(host: str) -> str:
    """Where this machine itself reaches a server that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound


def _in_url(host: str) -> str:
    """IPv6 addresses stand in brackets (RFC 3986, section 3.2.2)."""
    return f"[{host}]" if ":" in host else host


def _accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _answers(host: str, port: int) -> bool:
    """Whether a page comes back, not merely a connection: granian listens before the application is loaded."""
    line = HTTPConnection(host, port, timeout=10)
    try:
        line.request("GET", "/account/login/")
        return line.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        line.close()
