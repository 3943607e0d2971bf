"""Named places where a test may stop the process, to prove that any stop is survived (faults R1, R2). No-op otherwise.

`EMAILSETTINGS_FAULTPOINT="name:3"` kills the process with SIGKILL when it passes the point `name` for the third time;
`EMAILSETTINGS_FAULTPOINT_LOG=FILE` appends the name of each point passed, so that a driver can list them first. A
process that was forked for one stop is told with `arm`.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

_CHOSEN, _, _OCCURRENCE = os.environ.get("EMAILSETTINGS_FAULTPOINT", "").rpartition(":")
_LOG = os.environ.get("EMAILSETTINGS_FAULTPOINT_LOG", "")
_SIGNAL = signal.SIGKILL
_passed: Counter[str] = Counter()


def faultpoint(name: str) -> None:
    """Mark a step of work that outlives the process. Each name says what has just been done."""
    if not (_CHOSEN or _LOG):
        return
    _passed[name] += 1
    if _LOG:
        with open(_LOG, "a") as log:
            log.write(f"{name}\n")
    if name == _CHOSEN and _passed[name] == int(_OCCURRENCE):
        os.kill(os.getpid(), _SIGNAL)


def arm(*, stop: str = "", log: str = "", number: signal.Signals = signal.SIGKILL) -> None:
    """Begin to count anew, with what the environment would say: `stop` is "name:3", `log` a file.

    number: the signal that stops the process; SIGSTOP pauses it.
    """
    global _CHOSEN, _OCCURRENCE, _LOG, _SIGNAL
    _CHOSEN, _, _OCCURRENCE = stop.rpartition(":")
    _LOG, _SIGNAL = log, number
    _passed.clear()
