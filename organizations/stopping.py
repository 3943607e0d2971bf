"""Whether this worker was asked to stop, for long work that can hand back what it holds (fault R27).

A pool process is not told when its worker is: the mark lies in memory that all of them share.
"""

from __future__ import annotations

import mmap

_mark = mmap.mmap(-1, 1)  # anonymous and shared: a process that is forked later sees what is written


def ask() -> None:
    """Ask this process, and all that were forked from it, to hand back long work at the next chance."""
    _mark[0] = 1


def is_asked() -> bool:
    return _mark[0] == 1
