"""A large download and then a sync without news, in a process of its own: what `large_things.py` measures.

    python -m benchmarks.large_pull HOST PORT USER PASSWORD

Prints one JSON object after the download, which may take several syncs where the line drops; waits for a line on its
standard input; syncs once more and prints another one.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from time import monotonic

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailsettings.settings")
django.setup()

from django.utils import timezone  # noqa: E402

from accounts.models import Mailbox  # noqa: E402
from benchmarks.pull import new_mailbox  # noqa: E402
from mailservers.rulebook import load_rules  # noqa: E402
from mailstore import syncing  # noqa: E402
from mailstore.models import Folder, Message, SyncSchedule  # noqa: E402
from mailstore.run import Report, report_nothing  # noqa: E402

MOST_SYNCS = 60


def main(host: str, port: str, user: str, password: str) -> None:
    mailbox = new_mailbox(host, port, user, password)
    load_rules()
    at_rest = _megabytes()
    first_page: list[float] = []
    began = monotonic()

    def note(folder_name: str, messages: int) -> None:
        if not first_page:
            first_page.append(monotonic() - began)

    syncs = 1
    while not _came_through(mailbox, note) and syncs < MOST_SYNCS:
        syncs += 1
    figures = {
        "seconds": monotonic() - began,
        "first_page": first_page[0] if first_page else 0.0,
        "at_rest": at_rest,
        "megabytes": _megabytes(),
        "syncs": syncs,
        "messages": Message.objects.count(),
        "folders": Folder.objects.count(),
        "octets": sum(Message.objects.values_list("stored_size", flat=True)),
    }
    print(json.dumps(figures), flush=True)
    sys.stdin.readline()
    began, processor = monotonic(), getrusage(RUSAGE_SELF)
    assert _came_through(mailbox, report_nothing)
    after = getrusage(RUSAGE_SELF)
    own = after.ru_utime + after.ru_stime - processor.ru_utime - processor.ru_stime
    print(json.dumps({"seconds": monotonic() - began, "processor": own, "megabytes": _megabytes()}), flush=True)


def _came_through(mailbox: Mailbox, report: Report) -> bool:
    """Sync once, as a worker does when the mailbox is due; False where the line broke."""
    SyncSchedule.objects.update(due_at=timezone.now())
    fence = SyncSchedule.objects.claim(mailbox.pk, timezone.now())
    assert fence is not None
    began = timezone.now()
    syncing.sync(mailbox.pk, fence, report=report)
    finished_at = SyncSchedule.objects.get().finished_at
    return finished_at is not None and finished_at >= began


def _megabytes() -> float:
    """The most that was resident here and in the largest process started from here. Unlike what `getrusage` says of
    ourselves, not what our parent had when it started us.
    """
    [peak] = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return (int(peak) + getrusage(RUSAGE_CHILDREN).ru_maxrss) / 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
