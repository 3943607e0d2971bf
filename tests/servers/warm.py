"""A process that has the product loaded, and forks for each deed: one that is killed at a named step, say.

To start anew for each takes 3 s of processor time, nearly all of it for imports. It has no threads and no connections.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection

from tests import environment
from tests.servers.processes import LIBC, PR_SET_PDEATHSIG, private_folder

FAILED = 70
LONGEST = 60  # seconds that a deed may take on a busy machine


class WarmProcess:
    """Runs code in forked copies of itself, one after the other."""

    def __init__(self, process: subprocess.Popen[str], errors: Path) -> None:
        self._process = process
        self._errors = errors

    def run(self, code: str, *, dials: Sequence[int] = (), stop: str = "", log: str = "") -> int:
        """Run `code`; return its exit status, -9 where it was killed. Raises AssertionError where it fails otherwise.

        dials:     ports on loopback that may be dialled.
        stop, log: see `organizations.faultpoints.arm`.
        """
        order = {"code": code, "dials": list(dials), "stop": stop, "log": log, "errors": str(self._errors)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        assert status in (0, -signal.SIGKILL), self._errors.read_text()
        return status


@contextmanager
def warmed_up() -> Iterator[WarmProcess]:
    """Start it on the test database."""
    with private_folder("es-warm-") as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.warm"],
            cwd=environment.ROOT,
            env={**os.environ, "DATABASE_URL": database_url()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:  # the end of what it reads is its own end
            yield WarmProcess(process, folder / "errors")


@pytest.fixture(scope="session")
def warm_process(django_db_setup: None) -> Iterator[WarmProcess]:
    with warmed_up() as process:
        yield process


def database_url() -> str:
    """The test database, for another process."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    return f"{os.environ['DATABASE_URL'].rpartition('/')[0]}/{name}"


def main() -> None:
    """Read orders, one a line; answer each with the status of the process that was forked for it."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    import django

    django.setup()
    for tasks in ("mailstore.tasks", "delivery.tasks"):
        importlib.import_module(tasks)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _obey(json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _obey(order: dict[str, str]) -> None:
    from django.conf import settings

    from organizations import faultpoints

    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.alarm(LONGEST)
    errors = os.open(order["errors"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(errors, stream)
    status = FAILED
    try:
        settings.DIAL_NETWORKS, settings.DIAL_PORTS = ["127.0.0.0/8", "::1/128"], order["dials"]
        faultpoints.arm(stop=order["stop"], log=order["log"])
        exec(order["code"], {})
        status = 0
    except BaseException:  # whatever it was, this copy must not go on to read orders
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
