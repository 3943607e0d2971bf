"""Runs the very task in a process forked for it, which is killed or paused where the driver says."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

from django.db import connections

from organizations import faultpoints
from tests.servers.processes import LIBC, PR_SET_PDEATHSIG

LONGEST: Final = 120.0  # seconds for a sync of a few messages on a busy machine
FAILED: Final = 70
SAID_ERROR: Final = 71


class Unexpected(Exception):
    """The forked process ended in another way than it should."""


class ErrorLines(logging.Handler):
    """Keeps what is logged as an error: nothing here may be one (V7)."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def forked(work: Callable[[], None]) -> int:
    """Fork, do `work` there; return the process. It inherits a warm interpreter and no connection."""
    connections.close_all()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    status = FAILED
    try:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # also while it is paused
        errors = ErrorLines()
        logging.getLogger().addHandler(errors)
        work()
        connections.close_all()
        for line in errors.lines:
            print(f"ERROR in the forked process: {line}", file=sys.stderr)
        status = SAID_ERROR if errors.lines else 0
    except BaseException:  # whatever it was, this copy of the driver must not go on
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def passed_points(work: Callable[[], None], log: Path) -> list[str]:
    """Do `work` to its end; return the names of the points it passed, in order."""
    log.unlink(missing_ok=True)

    def noting() -> None:
        faultpoints.arm(log=str(log))
        work()

    ended(forked(noting))
    return log.read_text().splitlines() if log.exists() else []


def kill_at(work: Callable[[], None], point: str) -> None:
    """Do `work` until it is killed at `point` ("name:3"). Raises Unexpected where it never gets there."""
    status = _wait(forked(lambda: _armed(work, point, signal.SIGKILL)))
    if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
        raise Unexpected(f"The point {point} was never passed ({_words(status)}).")


def pause_at(work: Callable[[], None], point: str) -> int:
    """Do `work` until it stops itself at `point`; return the process, which waits for `let_go`."""
    pid = forked(lambda: _armed(work, point, signal.SIGSTOP))
    status = _wait(pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        raise Unexpected(f"The point {point} was never passed ({_words(status)}).")
    return pid


def let_go(pid: int, *, may_fail: bool = False) -> None:
    """Let a paused process go on to its end, which has to be a quiet one, unless it `may_fail`."""
    os.kill(pid, signal.SIGCONT)
    ended(pid, may_fail=may_fail)


def kill_after(work: Callable[[], None], seconds: float) -> bool:
    """Do `work`, and kill it from outside after `seconds`; False where it had ended by itself."""
    pid = forked(work)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(_wait(pid))


def ended(pid: int, *, may_fail: bool = False) -> None:
    """Wait for a process that has to end by itself and well; `may_fail`: or with an exception."""
    status = _wait(pid)
    if status and not (may_fail and os.WIFEXITED(status)):
        raise Unexpected(f"The forked process ended badly: {_words(status)}.")


def _armed(work: Callable[[], None], point: str, number: signal.Signals) -> None:
    faultpoints.arm(stop=point, number=number)
    work()


def _wait(pid: int, options: int = 0) -> int:
    deadline = time.monotonic() + LONGEST
    while True:
        found, status = os.waitpid(pid, options | os.WNOHANG)
        if found:
            return status
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise Unexpected(f"The forked process did not end within {LONGEST:.0f} s.")
        time.sleep(0.002)


def _words(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"signal {os.WTERMSIG(status)}"
    return {FAILED: "an exception", SAID_ERROR: "errors in its log"}.get(
        os.waitstatus_to_exitcode(status), f"status {status}"
    )
