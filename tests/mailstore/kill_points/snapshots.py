"""The whole state of the product, put aside and brought back: the database and the pack files, on either engine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Protocol

import psycopg
from django.conf import settings
from django.db import connection, connections
from psycopg import sql


class Snapshots(Protocol):
    """Nobody may be connected to the database while either method runs."""

    def save(self, name: str) -> None: ...

    def restore(self, name: str) -> None: ...


def snapshots(folder: Path) -> Snapshots:
    """What fits the database of the settings. Pack files are copied into `folder`, and with SQLite the database."""
    return PostgresqlSnapshots(folder) if connection.vendor == "postgresql" else SqliteSnapshots(folder)


def break_connections() -> None:
    """End every conversation with the PostgreSQL database in the middle, as a restart or a failover does."""
    with maintenance() as cluster:
        cluster.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [_database()])


class SqliteSnapshots:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, name: str) -> None:
        connections.close_all()  # the last one to go moves the write-ahead log into the database file
        database = _database()
        if Path(f"{database}-wal").exists():
            raise RuntimeError("Somebody is still connected to the database that is to be copied.")
        shutil.copyfile(database, self._folder / f"{name}.sqlite3")
        _copy(_mail(), self._folder / name)

    def restore(self, name: str) -> None:
        connections.close_all()
        database = _database()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{database}{suffix}").unlink(missing_ok=True)
        shutil.copyfile(self._folder / f"{name}.sqlite3", database)
        _copy(self._folder / name, _mail())


class PostgresqlSnapshots:
    """Each snapshot is a database of its own, from which the present one is made as from a template."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, name: str) -> None:
        connections.close_all()
        self._make(_snapshot(name), _database())
        _copy(_mail(), self._folder / name)

    def restore(self, name: str) -> None:
        connections.close_all()
        self._make(_database(), _snapshot(name))
        _copy(self._folder / name, _mail())

    def _make(self, database: str, template: str) -> None:
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database))
        make = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
        with maintenance() as cluster:
            cluster.execute(drop)
            cluster.execute(make.format(sql.Identifier(database), sql.Identifier(template)))


def maintenance() -> psycopg.Connection[tuple[object, ...]]:
    """A connection from which databases are made and dropped."""
    given = settings.DATABASES["default"]
    options = {"host": given["HOST"], "port": given["PORT"], "user": given["USER"], "password": given["PASSWORD"]}
    chosen = {name: value for name, value in options.items() if value}
    return psycopg.connect(dbname="postgres", autocommit=True, **chosen)


def _database() -> str:
    return str(settings.DATABASES["default"]["NAME"])


def _snapshot(name: str) -> str:
    return f"{_database()}_{name}"


def _mail() -> Path:
    return Path(settings.MAIL_DIR)


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    if source.exists():
        shutil.copytree(source, target, copy_function=_copy_octets)


def _copy_octets(source: str, target: str) -> None:
    with open(source, "rb") as read, open(target, "wb") as written:
        os.sendfile(written.fileno(), read.fileno(), 0, os.fstat(read.fileno()).st_size)
