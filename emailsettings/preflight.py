"""What can be wrong before the first part starts, each in one sentence with its cure."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path
from typing import IO

SOCKET_PATH_LIMIT = 107  # octets that fit into sockaddr_un.sun_path, less the closing NUL


class CannotStart(Exception):
    """The product cannot start; the text says why and what to do."""


def take_lock(state: Path, address: str) -> IO[str]:
    """Hold the state folder for this process. Raises CannotStart while another `up` holds it."""
    lock = (state / "up.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        lock.seek(0)
        running = lock.read().strip() or "unknown address"
        lock.close()
        raise CannotStart(
            f"one is running in this folder already: {running}. Use that one, or stop it with Ctrl-C first."
        ) from exc
    lock.seek(0)
    lock.truncate()
    lock.write(f"{address} (process {os.getpid()})\n")
    lock.flush()
    return lock


def check_socket_path(path: Path) -> None:
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
        raise CannotStart(
            f"the path {path} is too long for a socket (at most {SOCKET_PATH_LIMIT} octets). "
            "Set EMAILSETTINGS_STATE_DIR to a shorter folder, for example ~/emailsettings."
        )


def check_port(host: str, port: int, *, patience: float = 3.0) -> None:
    """Raises CannotStart when `port` stays taken. Waits a moment for a predecessor that is still going down."""
    deadline = time.monotonic() + patience
    while True:
        try:
            socket.create_server((host, port)).close()
        except OSError as exc:
            if time.monotonic() > deadline:
                raise CannotStart(
                    f"port {port} on {host} cannot be used ({(exc.strerror or str(exc)).lower()}). "
                    f"Stop the other program, or choose another port: PORT={port + 1} ./run"
                ) from exc
            time.sleep(0.2)
        else:
            return
