"""Real Celery workers that send, before a broker that forgets and a database that goes away (R2 to R5, R27, V4).

The sink fsyncs what it takes before it says so; in the end it is held against the rows.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.utils import timezone

from delivery.models import LEASE, Attempt, OutboxMessage, OutboxRecipient
from delivery.states import State
from emailsettings import embedded
from tests.delivery.kill_points.bench import SinkProcess, running_sink
from tests.mailstore.kill_points.snapshots import break_connections
from tests.servers.celery_workers import Workers, children, database_files, running_workers
from tests.servers.fault_proxy import Fault, FaultProxy, fault_proxy
from tests.servers.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

SUBMIT = "delivery.submit_message"
SWEEP = "delivery.sweep_outbox"
GRACE = 10.0  # seconds; what `./run` gives a worker


@pytest.fixture
def sink_process(tmp_path) -> Iterator[SinkProcess]:
    with running_sink("pipelining", tmp_path) as sink:
        yield sink


@pytest.fixture
def line(sink_process: SinkProcess) -> Iterator[FaultProxy]:
    """The line to the sink, which a test may slow down."""
    with fault_proxy(sink_process.port) as proxy:
        yield proxy


@pytest.fixture
def workers(sink_process: SinkProcess, line: FaultProxy) -> Iterator[Workers]:
    with running_workers(sink_process.port, line.port) as running:
        yield running


@pytest.fixture
def queued(make_mailbox, make_message, alice, line: FaultProxy) -> Callable[[int], list[OutboxMessage]]:
    """`queued(40)`: so many messages in the queue, each to two people; nobody was nudged."""
    mailbox = make_mailbox(
        "alice@example.org", alice, smtp_host="127.0.0.1", smtp_port=line.port, smtp_security="none", imap_host=""
    )

    def queue(number: int) -> list[OutboxMessage]:
        return [make_message(mailbox, alice, f"bob-{each}@x.org", f"carol-{each}@x.org") for each in range(number)]

    return queue


def assert_each_once(sink: SinkProcess, messages: list[OutboxMessage]) -> None:
    """Every recipient is sent, and has got its message once."""
    assert not OutboxRecipient.objects.exclude(state=State.SENT).exists()
    wanted = Counter(
        (message_id.strip("<>"), address)
        for message_id, address in OutboxRecipient.objects.values_list("message__message_id", "address")
    )
    assert len(wanted) == 2 * len(messages)
    assert sink.taken() == wanted


def wait_for_all(seconds: float = 60) -> None:
    left = OutboxRecipient.objects.filter(state__in=[State.QUEUED, State.SENDING])
    wait_until(lambda: not left.exists(), "end of sending", seconds=seconds, pause=0.1)


@pytest.mark.once
@pytest.mark.proves("R4", "V4")
def test_every_task_delivered_twice_to_two_workers_sends_once(workers, sink_process, queued):
    messages = queued(20)
    for _ in range(2):
        workers.start(queues="send")
    for message in messages:
        for _ in range(2):
            workers.nudge(SUBMIT, message.pk, queue="send")
    wait_for_all()
    for message in messages[:5]:  # and once more when all is over, as one that comes back days late
        workers.nudge(SUBMIT, message.pk, queue="send")
    time.sleep(1)
    assert_each_once(sink_process, messages)
    assert Attempt.objects.filter(message__in=messages[:5]).count() == 5


@pytest.mark.once
@pytest.mark.proves("R3", "V4")
def test_a_broker_that_forgets_everything_and_one_that_is_restarted_lose_nothing(workers, sink_process, queued):
    messages = queued(12)
    for message in messages:
        workers.nudge(SUBMIT, message.pk, queue="send")
    embedded._ask(workers.socket, b"FLUSHALL")
    workers.start(queues="send")
    workers.nudge(SWEEP, queue="send")
    wait_for_all()
    more = queued_again(messages)
    workers.stop_broker()
    workers.start_broker()
    wait_until(lambda: nudged(workers), "worker that found the broker again", seconds=60, pause=1.0)
    wait_for_all()
    assert_each_once(sink_process, [*messages, *more])


def queued_again(messages: list[OutboxMessage]) -> list[OutboxMessage]:
    """The same messages once more under other names, still to be sent."""
    copies = []
    for message in messages:
        addresses = [recipient.address for recipient in message.recipients.all()]
        message.pk, message._state.adding = None, True
        message.submission_key += "-again"
        message.message_id = message.message_id.replace("@", "-again@")
        message.raw = bytes(message.raw).replace(b"@tests.example>", b"-again@tests.example>")
        message.save(force_insert=True)
        now = timezone.now()
        moments = {"not_before": now, "state_at": now, "expires_at": now + timedelta(hours=48)}
        OutboxRecipient.objects.bulk_create(
            OutboxRecipient(message=message, address=address, **moments) for address in addresses
        )
        copies.append(message)
    return copies


def nudged(workers: Workers) -> bool:
    """Sweep until something moves: the first nudges may fall into the time without broker."""
    workers.nudge(SWEEP, queue="send")
    return not OutboxRecipient.objects.filter(state=State.QUEUED).exists()


def amid_a_message(workers: Workers, line: FaultProxy, message: OutboxMessage) -> int:
    """Start a worker and wait until it holds the message; return the process of its pool."""
    line.fault = Fault(delay=0.3)
    worker = workers.start(queues="send")
    workers.nudge(SUBMIT, message.pk, queue="send")
    held = OutboxRecipient.objects.filter(state=State.SENDING)
    wait_until(held.exists, "message under way", seconds=60)
    return children(worker.pid)[0]


@pytest.mark.once
@pytest.mark.proves("R2", "R27", "V4")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "paused past its lease"])
def test_what_a_stopped_worker_held_is_sent_by_another_one_once(workers, line, sink_process, queued, number):
    [message] = queued(1)
    process = amid_a_message(workers, line, message)
    os.kill(process, number)
    assert not Attempt.objects.exclude(final_dot_at=None).exists()
    line.fault = Fault()
    OutboxRecipient.objects.filter(state=State.SENDING).update(claimed_at=timezone.now() - LEASE)
    workers.start(queues="send")
    workers.nudge(SWEEP, queue="send")
    workers.nudge(SWEEP, queue="send")
    wait_for_all()
    if number is signal.SIGSTOP:
        os.kill(process, signal.SIGCONT)
        wait_until(lambda: not Attempt.objects.filter(ended_at=None).exists(), "end of the paused attempt")
        time.sleep(1)
    assert_each_once(sink_process, [message])


@pytest.mark.once
@pytest.mark.proves("R27", "V5")
def test_a_worker_that_is_told_to_end_ends_its_message_or_hands_it_back(workers, line, sink_process, queued):
    [message] = queued(1)
    amid_a_message(workers, line, message)
    [worker] = workers.started
    worker.send_signal(signal.SIGTERM)
    worker.wait(3 * GRACE)  # the machine of the test may be busy
    assert not OutboxRecipient.objects.filter(state=State.SENDING).exists()
    line.fault = Fault()
    workers.start(queues="send")
    workers.nudge(SWEEP, queue="send")
    wait_for_all()
    assert_each_once(sink_process, [message])


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.proves("R27")
def test_a_pool_process_is_exchanged_after_its_tasks_and_shares_nothing_with_the_next(workers, sink_process, queued):
    worker = workers.start("--max-tasks-per-child", "1", queues="send")
    messages = queued(6)
    seen = set()
    for message in messages:
        workers.nudge(SUBMIT, message.pk, queue="send")
        wait_until(lambda: not message.recipients.exclude(state=State.SENT).exists(), "sent message", seconds=60)  # noqa: B023
        seen |= set(children(worker.pid))
    wait_for_all()
    assert len(seen) > 1
    assert not database_files(worker.pid), "the worker itself must hold nothing that its pool processes inherit"
    assert_each_once(sink_process, messages)


@pytest.mark.proves("R5", "V4")
def test_a_database_that_goes_away_while_two_workers_send_loses_and_doubles_nothing(workers, sink_process, queued):
    queued(60)
    for _ in range(2):
        workers.start(queues="send")
    workers.nudge(SWEEP, queue="send")
    for share in (10, 50, 90):
        wait_until(lambda: swept(workers, sink_process) >= share, "messages", seconds=90, pause=0.5)  # noqa: B023
        take_database_away()
    deadline = time.monotonic() + 60
    while OutboxRecipient.objects.filter(state__in=[State.QUEUED, State.SENDING]).exists():
        assert time.monotonic() < deadline
        OutboxRecipient.objects.filter(state=State.SENDING).update(claimed_at=timezone.now() - LEASE)
        workers.nudge(SWEEP, queue="send")
        time.sleep(1)
    assert_none_twice(sink_process)


def swept(workers: Workers, sink_process: SinkProcess) -> int:
    """How many were taken; meanwhile somebody sweeps, as beat does, for a task that lost its database has ended."""
    workers.nudge(SWEEP, queue="send")
    return sum(sink_process.taken().values())


def take_database_away() -> None:
    """End every conversation with PostgreSQL, as a restart does; SQLite has none: its file is locked a while."""
    if connection.vendor == "postgresql":
        connections.close_all()
        break_connections()
        return
    with closing(sqlite3.connect(connection.settings_dict["NAME"], timeout=60, isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        time.sleep(1)
        database.execute("ROLLBACK")


def assert_none_twice(sink: SinkProcess) -> None:
    """Who is sent has got it once; who is uncertain at most once."""
    taken = sink.taken()
    assert max(taken.values()) == 1
    for state, address, message_id in OutboxRecipient.objects.values_list("state", "address", "message__message_id"):
        if state == State.SENT:
            assert taken[message_id.strip("<>"), address] == 1
        else:
            assert state == State.UNCERTAIN


@pytest.mark.parametrize("number", [200, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.proves("R4", "V4", "J5")
def test_two_workers_share_a_long_queue_and_claim_each_message_once(workers, sink_process, queued, number, monkeypatch):
    messages = queued_in_bulk(queued, number)
    for _ in range(2):
        workers.start(queues="send")
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(2.0):
            workers.nudge(SWEEP, queue="send")

    sweeping = threading.Thread(target=beat, daemon=True)
    sweeping.start()
    try:
        wait_for_all(seconds=60 + number / 5)  # a busy machine needs half of that
    finally:
        ended.set()
        sweeping.join()
    assert_each_once(sink_process, messages)
    assert Attempt.objects.filter(message__in=[message.pk for message in messages]).count() == number


def queued_in_bulk(queued: Callable[[int], list[OutboxMessage]], number: int) -> list[OutboxMessage]:
    """Like `queued`, by a few statements."""
    [pattern] = queued(1)
    now = timezone.now()
    moments = {"not_before": now, "state_at": now, "expires_at": now + timedelta(hours=48)}
    fields = {
        field.attname: getattr(pattern, field.attname)
        for field in OutboxMessage._meta.concrete_fields
        if not field.primary_key
    }
    more = OutboxMessage.objects.bulk_create(
        OutboxMessage(
            **fields
            | {
                "submission_key": f"bulk-{each}",
                "message_id": pattern.message_id.strip("<>").replace("@", f"-bulk-{each}@"),
                "raw": bytes(pattern.raw).replace(b"@tests.example>", b"-bulk-%d@tests.example>" % each),
            }
        )
        for each in range(1, number)
    )
    OutboxRecipient.objects.bulk_create(
        (
            OutboxRecipient(message=message, address=f"{name}-bulk-{each}@x.org", **moments)
            for each, message in enumerate(more, 1)
            for name in ("bob", "carol")
        ),
        batch_size=500,
    )
    return [pattern, *more]
