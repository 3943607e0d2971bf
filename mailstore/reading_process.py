"""`python -m mailstore.reading_process`: reads messages for a sync, in a process of its own (see `readers.py`).

Says that it is ready, takes pickled lists of `Entry` on standard input, and answers each with the length (8 octets) and
the pickle of a `ReadBatch`; with postings for PostgreSQL where its argument is `postings`. It has neither settings nor
secrets nor connections, and at most a gigabyte of memory: a message that bursts it takes nothing else along. Ends with
its parent, when standard input ends.
"""

from __future__ import annotations

import gc
import pickle
import resource
import signal
import sys
from contextlib import suppress

from mailstore.reading import READY, read_entries

MEMORY = 1024 * 1024 * 1024  # octets of address space


def main() -> None:
    """Answer until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which closes our input
    gc.set_threshold(50_000, 20, 20)  # a batch holds thousands of messages, none of them in a cycle
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    with_postings = "postings" in sys.argv[1:]
    with suppress(EOFError, BrokenPipeError):
        answers.write(READY)
        answers.flush()
        while True:
            entries = pickle.load(requests)  # noqa: S301  from our parent
            answer = pickle.dumps(read_entries(entries, with_postings=with_postings), pickle.HIGHEST_PROTOCOL)
            answers.write(len(answer).to_bytes(8, "big"))
            answers.write(answer)
            answers.flush()


if __name__ == "__main__":
    main()
