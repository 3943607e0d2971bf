"""A broker and Celery workers of a test's own, started as `./run` starts them, on the database of the test."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from celery import Celery
from django.conf import settings

from emailsettings import embedded
from emailsettings.parts import celery
from tests.environment import ROOT
from tests.servers.processes import private_folder, start, stop, wait_until
from tests.servers.warm import database_url

ALONE = ("--without-gossip", "--without-mingle")


@dataclass
class Workers:
    """A broker of our own, and the workers that were started on it. `ports`: those on loopback that they may dial."""

    folder: Path
    ports: tuple[int, ...]
    broker: subprocess.Popen[bytes] | None = None
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        return self.folder / "valkey.sock"

    @property
    def broker_url(self) -> str:
        return f"redis+socket://{self.socket}"

    @property
    def log(self) -> Path:
        return self.folder / "worker.log"

    def start(self, *options: str, queues: str = "people,sync,due", **variables: str) -> subprocess.Popen[bytes]:
        name = f"test{len(self.started)}@%h"
        command = celery("worker", "-n", name, "-Q", queues, "--concurrency", "1", "--pool", "prefork")
        environment = {
            **os.environ,
            "DATABASE_URL": database_url(),
            "BROKER_URL": self.broker_url,
            "CELERY_TASK_ALWAYS_EAGER": "0",
            "EMAILSETTINGS_MAIL_DIR": str(settings.MAIL_DIR),
            "EMAILSETTINGS_DIAL_NETWORKS": "127.0.0.0/8,::1/128",
            "EMAILSETTINGS_DIAL_PORTS": ",".join(map(str, self.ports)),
            **variables,
        }
        process = start([*command, *ALONE, *options], log=self.log, folder=ROOT, environment=environment)
        self.started.append(process)
        return process

    def nudge(self, task: str, *arguments: object, queue: str) -> None:
        # Not "current": the tasks of every later test would belong to it.
        with Celery(broker=self.broker_url, set_as_current=False) as app:
            app.send_task(task, list(arguments), queue=queue, ignore_result=True)

    def start_broker(self) -> None:
        self.socket.unlink(missing_ok=True)
        self.broker = start(embedded.command(self.socket), log=self.folder / "broker.log", folder=self.folder)
        wait_until(lambda: embedded.is_answering(self.socket), "broker")

    def stop_broker(self) -> None:
        assert self.broker is not None
        stop(self.broker)


@contextmanager
def running_workers(*ports: int) -> Iterator[Workers]:
    """A broker, and no worker yet. What the workers logged is printed in the end."""
    with private_folder("es-worker-") as folder:
        running = Workers(folder, ports)
        running.start_broker()
        try:
            yield running
        finally:
            for process in running.started:
                stop(process)
            running.stop_broker()
            print(running.log.read_text(errors="replace")[-6000:] if running.log.exists() else "no worker was started")


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def database_files(pid: int) -> list[str]:
    """Open files of a process that are the database, and its connections to one."""
    opened = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
    return [name for name in opened if "sqlite" in name or "PGSQL" in name]
