"""When the sandbox ends: on a signal, or with its parent. And that only one uses a state folder."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
from pathlib import Path
from typing import IO, Final

_LOOK_EVERY: Final = 0.25  # seconds


class StateInUse(Exception):
    """Another sandbox runs with this state folder."""


def lock(state: Path) -> IO[str]:
    """Take the state folder for this process; keep the result open. The system lets go of it when we end.

    Raises StateInUse.
    """
    file = (state / "lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        file.close()
        raise StateInUse(f"Another sandbox is running with {state}. Stop it, or choose another --state.") from exc
    return file


def stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


async def stop_with_parent(parent: int, stop: asyncio.Event) -> None:
    """Set `stop` when the process `parent` has ended, at once where the system can tell (Linux), else soon after."""
    if hasattr(os, "pidfd_open"):
        try:
            watched = os.pidfd_open(parent)
        except ProcessLookupError:
            stop.set()
            return
        except OSError:  # a kernel that does not know it
            pass
        else:
            asyncio.get_running_loop().add_reader(watched, stop.set)
            return
    while _is_alive(parent):
        await asyncio.sleep(_LOOK_EVERY)
    stop.set()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
