"""A scenario before a sink and a Dovecot, ready to be gone through again and again from the same beginning."""

from __future__ import annotations

import imaplib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final
from unittest import mock

import time_machine
from django.db import connections
from django.utils import timezone

from accounts import sessions
from accounts.models import Mailbox
from delivery import tasks
from delivery.models import LEASE, Attempt, OutboxMessage, OutboxRecipient
from delivery.states import SentCopy, State
from organizations.models import Organization, User
from organizations.scopes import Scope
from organizations.tokens import make_token
from protocols.credentials import Secret
from protocols.network import Dialer, DialPolicy
from protocols.smtp import transaction
from tests.delivery.kill_points.scenarios import Scenario, World
from tests.delivery.kill_points.steps import every_step
from tests.environment import ROOT
from tests.mailstore.kill_points.snapshots import Snapshots
from tests.servers.dovecot import Dovecot
from tests.servers.processes import start, stop, wait_until

BEGINNING: Final = "beginning"
MOMENTS: Final = tuple(timedelta(minutes=minutes) for minutes in (0, 17, 40, 70, 140, 240))  # at which beat looks

LEFT: Final = (State.SENT, State.BOUNCED)

#: What each of the sinks offers.
OFFERED: Final = {
    "pipelining": ("PIPELINING", "SIZE", "8BITMIME", "DSN"),
    "plain": (),
    "chunking": ("PIPELINING", "CHUNKING"),
}


@dataclass
class SinkProcess:
    """One running sink; what it has taken is in `file`."""

    port: int
    file: Path

    def taken(self) -> Counter[tuple[str, str]]:
        """How often each recipient has got each message."""
        if not self.file.exists():
            return Counter()
        kept = [json.loads(line) for line in self.file.read_text().splitlines()]
        return Counter((mail["message_id"], recipient) for mail in kept for recipient in mail["recipients"])


@contextmanager
def running_sinks(folder: Path) -> Iterator[dict[str, SinkProcess]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(running_sink(name, folder)) for name in OFFERED}


@contextmanager
def running_sink(name: str, folder: Path) -> Iterator[SinkProcess]:
    file, log = folder / f"{name}.jsonl", folder / f"{name}.log"
    command = [sys.executable, "-m", "tests.delivery.kill_points.sink", str(file), *OFFERED[name]]
    process: subprocess.Popen[bytes] = start(command, log=log, folder=ROOT)
    try:
        wait_until(lambda: log.read_text().strip(), "port of the sink")
        yield SinkProcess(int(log.read_text()), file)
    finally:
        stop(process)


class Bench:
    """What a scenario has before anybody presses anything; each `restore` begins a new run."""

    def __init__(self, scenario: Scenario, sink: SinkProcess, snapshots: Snapshots, world: World) -> None:
        self.scenario = scenario
        self._sink = sink
        self._snapshots = snapshots
        self._world = world

    def restore(self) -> None:
        self._snapshots.restore(BEGINNING)
        transaction._knows_bdat.clear()  # or a step fewer is taken than before
        self._world = replace(self._world, run=self._world.run + 1)
        self.scenario.before(self._world)

    def press(self) -> None:
        """The button, and in the same process all that its nudges start; every step is a place to stop at."""
        with every_step():
            self.scenario.press(self._world)

    def press_plainly(self) -> None:
        """The same without stops at every step, to be killed at any moment."""
        self.scenario.press(self._world)

    def resume(self) -> None:
        """Whoever saw an error presses again. Then nothing is left but beat, which looks at the rows now and then."""
        (self.scenario.again or self.scenario.press)(self._world)
        began = timezone.now()
        for moment in MOMENTS:
            with time_machine.travel(began + moment + timedelta(seconds=1)):
                tasks.sweep_outbox()
                tasks.sweep_outbox()

    def faults(self, *, may_be_uncertain: bool) -> list[str]:
        """What is wrong in the end."""
        messages = list(OutboxMessage.objects.all())
        lines: list[str] = []
        if len(messages) != self.scenario.messages:
            lines.append(f"{len(messages)} messages in place of {self.scenario.messages}")
        taken = self._sink.taken()
        before = sum(taken.values())
        lines += [fault for message in messages for fault in self._faults_of(message, taken, may_be_uncertain)]
        known = {message.message_id for message in messages}
        mine = [key for key in taken if f"-{self._world.run}@" in key[1]]
        lines += [
            f"{recipient} got a message that no row tells of"
            for message_id, recipient in mine
            if message_id not in known
        ]
        lines += [f"{attempt} was left open" for attempt in Attempt.objects.filter(ended_at=None)]
        lines += self.scenario.wrong(self._world)
        tasks.sweep_outbox()
        if sum(self._sink.taken().values()) != before:
            lines.append("a sweep without news has sent something")
        return lines

    def _faults_of(
        self, message: OutboxMessage, taken: Counter[tuple[str, str]], may_be_uncertain: bool
    ) -> Iterator[str]:
        sent = False
        for recipient in message.recipients.all():
            number = taken[message.message_id, recipient.address]
            name = recipient.address.partition("@")[0].removesuffix(f"-{self._world.run}")
            expected, state = self.scenario.ends[name], State(recipient.state)
            sent = sent or state is State.SENT
            if not (state in expected or (state is State.UNCERTAIN and may_be_uncertain and State.SENT in expected)):
                yield f"{name} is {state} ({recipient.note}), not {' or '.join(sorted(expected))}"
            if number > (state in LEFT or state is State.UNCERTAIN):
                yield f"DOUBLED: {name} got it {number} times"
            if state in LEFT and not number:
                yield f"LOST: {name} never got it"
        if self.scenario.files:
            copies = self._copies(message)
            if copies != int(sent):
                yield f"{copies} copies in the Sent folder"
            if (message.sent_copy == SentCopy.FILED) is not sent:
                yield f"the copy is {message.sent_copy}: {message.sent_copy_note}"

    def _copies(self, message: OutboxMessage) -> int:
        mailbox = self._world.mailbox
        with imaplib.IMAP4("127.0.0.1", mailbox.imap_port) as client:
            client.login(mailbox.address, mailbox.password.reveal())
            client.select("Sent", readonly=True)
            _, [found] = client.search(None, "HEADER", "Message-ID", f'"{message.message_id}"')
            return len(found.split())

    @property
    def uncertain(self) -> int:
        return OutboxRecipient.objects.filter(state=State.UNCERTAIN).count()


@contextmanager
def prepared(
    scenario: Scenario, sinks: dict[str, SinkProcess], dovecot: Dovecot, snapshots: Snapshots
) -> Iterator[Bench]:
    """Make author and mailbox, and put that aside."""
    snapshots.restore("empty")
    sink = sinks[scenario.sink]
    ports = frozenset({("127.0.0.1", sink.port), ("127.0.0.1", dovecot.plain_port)})
    dialer = Dialer(DialPolicy(endpoints=ports))
    with mock.patch.object(sessions, "dialer", return_value=dialer):
        organization = Organization.objects.create(name="Example Ltd")
        author = User.objects.create_user("alice@example.org", None, organization=organization, name="Alice")
        world = World(author, _mailbox(author, sink, dovecot if scenario.files else None), _first_run(), _token(author))
        connections.close_all()
        snapshots.save(BEGINNING)
        yield Bench(scenario, sink, snapshots, world)
        connections.close_all()


_runs = iter(range(1_000, 10**9, 1_000_000))


def _first_run() -> int:
    """Runs of different scenarios meet in the same sink."""
    return next(_runs)


def _token(author: User) -> str:
    now = timezone.now()
    return make_token(author, "Kill points", tuple(Scope), now=now, expires_at=now + timedelta(days=1))[1]


def _mailbox(author: User, sink: SinkProcess, dovecot: Dovecot | None) -> Mailbox:
    mailbox = Mailbox(
        organization=author.organization,
        owner=author,
        address="alice@example.org",
        smtp_host="127.0.0.1",
        smtp_port=sink.port,
        smtp_security="none",
        imap_host="",
    )
    mailbox.password = Secret("mailbox-password")
    if dovecot is not None:
        credentials = dovecot.new_user()
        mailbox.address, mailbox.password = credentials.username, credentials.password
        mailbox.imap_host, mailbox.imap_port, mailbox.imap_security = "127.0.0.1", dovecot.plain_port, "none"
    mailbox.save()
    if dovecot is not None:
        with imaplib.IMAP4("127.0.0.1", dovecot.plain_port) as client:
            client.login(mailbox.address, mailbox.password.reveal())
            client.create("Sent")
    return mailbox


assert MOMENTS[1] > LEASE
