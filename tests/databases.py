"""The test database: migrated once, copied by every worker, and emptied quickly after a test that commits.

What the migrations made on SQLite is kept in .pytest_cache, by the name of what made it, so the next run copies it too.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Iterator
from functools import cache
from typing import Final

import django
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction
from django.test import TransactionTestCase
from pytest_django import DjangoDbBlocker

from tests import environment
from tests.servers.processes import one_at_a_time

KEPT: Final = environment.ROOT / ".pytest_cache" / "databases"
#: What `migrate` itself fills, and no test empties.
ALWAYS_FULL: Final = {"auth_permission", "django_content_type"}


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Keep the SQLite test database in a file, as the product does: in memory it locks by other rules.

    No thread keeps a connection for later: the database could not be removed in the end.
    """
    database = settings.DATABASES["default"]
    database["CONN_MAX_AGE"] = 0
    if connection.vendor == "sqlite":
        database.setdefault("TEST", {})["NAME"] = str(environment.STATE / "test.sqlite3")


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_modify_db_settings: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """In place of pytest-django's, which migrates in every worker: 6 s of processor time each."""
    with django_db_blocker.unblock():
        before = connection.settings_dict["NAME"]
        name = connection.creation._get_test_db_name()
        make_database(name)
        TransactionTestCase._fixture_teardown = _empty
    yield
    with django_db_blocker.unblock():
        connection.close()
        connection.creation.destroy_test_db(before, verbosity=0)


# --- Migrated once ----------------------------------------------------------------------------------------------


def make_database(name: str) -> None:
    """Make a database with empty tables and connect to it. On SQLite `name` is the path of its file."""
    with one_at_a_time("migrating"):
        make_copy = _copy_of_file if connection.vendor == "sqlite" else _copy_in_server
        make_copy(f"migrated_{_what_migrates()}", name)
    _connect_to(name)


def _what_migrates() -> str:
    """Changes with every migration of ours, and with what carries them out."""
    digest = hashlib.sha256(f"{django.VERSION} {sqlite3.sqlite_version}".encode())
    for file in sorted(environment.ROOT.glob("*/migrations/*.py")):
        digest.update(str(file.relative_to(environment.ROOT)).encode() + file.read_bytes())
    return digest.hexdigest()[:20]


def _copy_of_file(migrated: str, name: str) -> None:
    kept = KEPT / f"{migrated}.sqlite3"
    if not kept.exists():
        draft = environment.STATE / "draft.sqlite3"
        _migrate(name)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM INTO %s", [str(draft)])  # one file, without the log beside it
        connection.close()
        shutil.rmtree(KEPT, ignore_errors=True)
        KEPT.mkdir(parents=True, exist_ok=True)
        shutil.move(draft, kept)
    shutil.copyfile(kept, name)


def _copy_in_server(migrated: str, name: str) -> None:
    quote = connection.ops.quote_name
    with connection._nodb_cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [migrated])
        if not cursor.fetchone():
            draft = f"{migrated}_draft"
            cursor.execute(f"DROP DATABASE IF EXISTS {quote(draft)}")
            cursor.execute(f"CREATE DATABASE {quote(draft)}")
            _migrate(draft)
            cursor.execute(f"ALTER DATABASE {quote(draft)} RENAME TO {quote(migrated)}")
        cursor.execute(f"DROP DATABASE IF EXISTS {quote(name)}")
        cursor.execute(f"CREATE DATABASE {quote(name)} TEMPLATE {quote(migrated)} STRATEGY file_copy")


def _migrate(name: str) -> None:
    _connect_to(name)
    call_command("migrate", verbosity=0, interactive=False)
    connection.close()


def _connect_to(name: str) -> None:
    connection.close()
    settings.DATABASES["default"]["NAME"] = connection.settings_dict["NAME"] = name


# --- Emptied where something stands -----------------------------------------------------------------------------


def _empty(self: TransactionTestCase) -> None:
    """Delete the rows a test has committed.

    Django truncates all tables and makes content types and permissions anew: on PostgreSQL 0.3 s for a few rows. Their
    deletion also fires the triggers by which the full-text index follows, which truncating does not.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_which_are_filled())
        for (table,) in cursor.fetchall():
            cursor.execute(f"DELETE FROM {connection.ops.quote_name(table)}")


@cache
def _which_are_filled() -> str:
    tables = set(connection.introspection.django_table_names(only_existing=True)) - ALWAYS_FULL
    quote = connection.ops.quote_name
    return " UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {quote(table)})" for table in tables)
