"""What can be wrong before the first part starts, each in one sentence with its cure."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from pathlib import Path
from typing import IO

SOCKET_PATH_LIMIT = 107  # octets that fit into sockaddr_un.sun_path, less the closing NUL
LARGEST_PORT = 65535


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


def port_from(text: str) -> int:
    """Raises CannotStart when `text` is not the number of a port."""
    if not text.isdecimal() or not 1 <= int(text[:6]) <= LARGEST_PORT:
        raise CannotStart(f"PORT is “{text}”, but has to be a number from 1 to {LARGEST_PORT}, for example PORT=8001.")
    return int(text)


def check_socket_path(path: Path) -> None:
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
        raise CannotStart(
            f"the path {path} is too long for a socket (at most {SOCKET_PATH_LIMIT} octets). "
            "Set EMAILSETTINGS_STATE_DIR to a shorter folder, for example ~/emailsettings."
        )


def check_port(host: str, port: int, *, patience: float = 3.0) -> None:
    """Raises CannotStart when `port` stays taken. Waits a moment for a predecessor that is still going down."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    deadline = time.monotonic() + patience
    while True:
        try:
            socket.create_server((host, port), family=family).close()
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:
                raise CannotStart(_refusal(host, port, exc)) from exc
            if time.monotonic() > deadline:
                other = port + 1 if port < LARGEST_PORT else 8000
                raise CannotStart(
                    f"port {port} on {host} is taken by another program. "
                    f"Stop that one, or choose another port: PORT={other} ./run"
                ) from exc
            time.sleep(0.2)
        else:
            return


def _refusal(host: str, port: int, exc: OSError) -> str:
    """Why nothing can listen there, other than that somebody else does."""
    if exc.errno == errno.EACCES:
        return f"this user may not open port {port}. Choose one above 1023: PORT=8000 ./run"
    return f"HOST is “{host}”, which is no address of this machine. Use 127.0.0.1, or 0.0.0.0 for all of its addresses."
