"""`python -m mailstore.reading_process`: reads messages for a sync, in a process of its own (see `readers.py`).

Takes pickled lists of `Entry` on standard input, answers each with the length (8 octets) and the pickle of a list of
`ReadMessage`. It has neither settings nor secrets nor connections, and at most a gigabyte of memory: a message that
bursts it takes nothing else along. Ends with its parent, when standard input ends.
"""

from __future__ import annotations

import pickle
import resource
import signal
import sys
from contextlib import suppress

from mailstore.reading import read_entries

MEMORY = 1024 * 1024 * 1024  # octets of address space


def main() -> None:
    """Answer until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which closes our input
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    with suppress(EOFError, BrokenPipeError):
        while True:
            answer = pickle.dumps(read_entries(pickle.load(requests)), pickle.HIGHEST_PROTOCOL)  # noqa: S301  from our parent
            answers.write(len(answer).to_bytes(8, "big"))
            answers.write(answer)
            answers.flush()


if __name__ == "__main__":
    main()
