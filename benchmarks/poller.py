"""Our own syncs in a process of its own, one at a word: `python -m benchmarks.poller HOST PORT USER PASSWORD`.

Reads lines of JSON from its standard input and answers each with one: `{"do": "all" | "kept" | "news", "port": N}`
syncs all folders on a new connection, all folders on a kept one, or the INBOX alone on a kept one, each through the
very task that a worker runs. The answer is a `Cost`. The database is the one of DATABASE_URL and is migrated first.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from time import perf_counter, process_time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailsettings.settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts.models import DownloadPeriod, Mailbox  # noqa: E402
from accounts.sessions import KEPT  # noqa: E402
from mailstore import schedule, tasks  # noqa: E402
from mailstore.models import Message, SyncSchedule  # noqa: E402
from organizations.models import Organization  # noqa: E402
from protocols.credentials import Secret  # noqa: E402


@dataclass
class Cost:
    """What one sync took: seconds by the clock and of the processor, and its statements, `writes` among them."""

    seconds: float
    processor: float
    queries: int
    writes: int
    messages: int
    statements: list[str]


class _Statements:
    """Notes each statement of the database connection."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, execute: Callable[..., object], sql: str, *rest: object) -> object:
        self.seen.append(sql)
        return execute(sql, *rest)


def main(host: str, port: str, user: str, password: str) -> None:
    call_command("migrate", verbosity=0)
    mailbox = Mailbox(
        organization=Organization.objects.create(name="Benchmark"),
        address=user,
        display_name="Benchmark",
        imap_host=host,
        imap_port=int(port),
        imap_security="none",
        download_period=DownloadPeriod.EVERYTHING,
    )
    mailbox.password = Secret(password)
    mailbox.save()
    schedule.ensure(mailbox)
    for line in sys.stdin:
        order = json.loads(line)
        Mailbox.objects.filter(pk=mailbox.pk).update(imap_port=order["port"])
        print(json.dumps(asdict(sync(mailbox.pk, order["do"]))), flush=True)
    KEPT.close()


def sync(mailbox_pk: int, kind: str) -> Cost:
    row = SyncSchedule.objects.filter(pk=mailbox_pk)
    work: Callable[[], None]
    if kind == "news":
        row.update(news_at=timezone.now())
        work = lambda: tasks.fetch_news(mailbox_pk)  # noqa: E731
    elif kind == "kept":
        row.update(due_at=timezone.now(), requested_at=timezone.now())
        work = lambda: tasks.sync_mailbox(mailbox_pk)  # noqa: E731
    else:
        row.update(due_at=timezone.now())
        work = tasks.sync_next
    fence = row.values_list("fence", flat=True).get()
    statements = _Statements()
    with ExitStack() as stack:
        stack.enter_context(connection.execute_wrapper(statements))
        began, used = perf_counter(), process_time()
        work()
        cost = perf_counter() - began, process_time() - used
    after = row.get()
    assert after.fence == fence + 1, "nothing was synced"
    assert not after.failures, after.waiting_for
    writes = [sql for sql in statements.seen if sql.startswith(("UPDATE", "INSERT", "DELETE"))]
    return Cost(*cost, len(statements.seen), len(writes), Message.objects.live().count(), statements.seen)


if __name__ == "__main__":
    main(*sys.argv[1:])
