"""A private PostgreSQL cluster on a unix socket, without fsync.

    python -m tests.servers.postgres COMMAND...      run COMMAND with DATABASE_URL pointing to a fresh cluster

That is how the whole suite runs on PostgreSQL; tests that need a server of their own ask for the fixture `postgres`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.processes import (
    find_program,
    private_folder,
    start,
    stop,
    unavailable,
    unprivileged_user,
    wait_until,
)

USER = "emailsettings"
SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "100",
    "timezone": "UTC",
}

INITDB = ("--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")


@dataclass(frozen=True)
class Cluster:
    """A running cluster. `folder` holds its socket."""

    folder: Path

    def url(self, database: str = "postgres") -> str:
        """What to give as DATABASE_URL."""
        return f"postgres://{USER}@/{self.folder}/{database}"

    def create_database(self, name: str) -> str:
        """Make an empty database; return its URL."""
        import psycopg

        with psycopg.connect(host=str(self.folder), user=USER, dbname="postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)


def programs() -> Path | None:
    """The folder of initdb and postgres: the newest Debian version, or wherever PATH finds them."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if versions:
        return versions[-1].parent
    found = find_program("initdb")
    return Path(found).parent if found else None


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Start a cluster and remove it afterwards. Raises FileNotFoundError where PostgreSQL is not installed."""
    folder_of_programs = programs()
    if folder_of_programs is None:
        raise FileNotFoundError("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    user = unprivileged_user("postgres")  # it refuses to run as root
    with private_folder("es-pg-", owner=user) as folder:
        log = folder / "log"
        initdb = start(
            [folder_of_programs / "initdb", "-D", folder / "data", "-U", USER, *INITDB],
            log=log,
            folder=folder,
            user=user,
        )
        if initdb.wait(60) != 0:
            raise RuntimeError(f"initdb failed:\n{log.read_text()}")
        options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        server = start(
            [folder_of_programs / "postgres", "-D", folder / "data", "-k", folder, *options],
            log=log,
            folder=folder,
            user=user,
            on_orphan=signal.SIGQUIT,
        )
        try:
            wait_until(lambda: _is_ready(folder, server, log), "answer from PostgreSQL")
            yield Cluster(folder)
        finally:
            stop(server, number=signal.SIGINT)  # "fast": does not wait for clients


def _is_ready(folder: Path, server: subprocess.Popen[bytes], log: Path) -> bool:
    import psycopg

    if server.poll() is not None:
        raise RuntimeError(f"PostgreSQL ended at once:\n{log.read_text()}")
    try:
        psycopg.connect(host=str(folder), user=USER, dbname="postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A cluster apart from the one the suite may run on, for tests that break or fill it."""
    if programs() is None:
        unavailable("PostgreSQL is not installed")
    with running_cluster() as cluster:
        yield cluster


def main(command: list[str]) -> int:
    if not command:
        sys.exit(__doc__)
    with running_cluster() as cluster:
        process = subprocess.Popen(command, env={**os.environ, "DATABASE_URL": cluster.url()})
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the command, which ends by itself
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
