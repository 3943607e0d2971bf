"""Starting real servers for tests: free ports, waiting with a reason, and ends that leave nothing behind."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from tests.environment import BASE

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def unavailable(what: str) -> NoReturn:
    """Skip where a person works without the server; fail in CI, where everything is there."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} (./test installs what is missing)", pytrace=False)
    pytest.skip(what)


def find_program(name: str, *folders: str) -> str | None:
    """The path of a program, also in places that are not in everybody's PATH."""
    return shutil.which(
        name, path=os.pathsep.join([*folders, os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], object], what: str, *, seconds: float = 20.0, pause: float = 0.02) -> None:
    """Ask for `condition`, with a pause (seconds) in between, until it is true.

    Raises TimeoutError saying `what` was awaited.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {seconds:.0f} s still no {what}")
        time.sleep(pause)


@contextlib.contextmanager
def one_at_a_time(what: str) -> Iterator[None]:
    """Let no two workers of this run do `what` at once."""
    with (Path(os.environ[BASE]) / what).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def private_folder(prefix: str, *, owner: str | None = None) -> Iterator[Path]:
    """A folder under /tmp with a path short enough for sockets, given to `owner` when we are root."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp" if os.access("/tmp", os.W_OK) else None))
    try:
        if owner and os.geteuid() == 0:
            shutil.chown(folder, owner, pwd.getpwnam(owner).pw_gid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unprivileged_user(*names: str) -> str | None:
    """As root: the first of the system users that exists. Otherwise None, since we are unprivileged ourselves."""
    if os.geteuid() != 0:
        return None
    for name in (*names, "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise LookupError(f"none of the users {', '.join(names)}, nobody exists")


def start(
    command: Sequence[str | Path],
    *,
    log: Path,
    folder: Path,
    user: str | None = None,
    environment: Mapping[str, str] | None = None,
    on_orphan: int = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start `command` in `folder`, as `user` if given; it gets `on_orphan` should this process die before it.

    environment: all that the command sees; None: what this process sees.
    """
    group = pwd.getpwnam(user).pw_gid if user else None
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=user,
            group=group,
            extra_groups=[] if user else None,
            start_new_session=True,
            preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, on_orphan),
        )


def stop(process: subprocess.Popen[bytes], *, number: int = signal.SIGTERM, seconds: float = 10.0) -> None:
    """End the process and all of its session: politely, then by force."""
    if process.poll() is None:
        process.send_signal(number)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
