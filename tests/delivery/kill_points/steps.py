"""Makes every step of a process a place to stop it: each statement and commit, each word said and heard on a line.

They come between the stops that the code names itself, so that nothing of sending goes unstopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from organizations.faultpoints import faultpoint
from protocols.wire import Wire

WITHIN = ", in a transaction"  # at the end of a point's name: who is paused there holds locks that outlast a lease


@contextmanager
def every_step() -> Iterator[None]:
    """Within the block each step is a faultpoint; to be entered in the forked process."""
    with ExitStack() as stack:
        stack.enter_context(connection.execute_wrapper(_statement))
        stack.enter_context(
            mock.patch.object(BaseDatabaseWrapper, "_commit", _around_commit(BaseDatabaseWrapper._commit))
        )
        stack.enter_context(mock.patch.object(Wire, "send", _around_send(Wire.send)))
        stack.enter_context(mock.patch.object(Wire, "readline", _behind_readline(Wire.readline)))
        yield


def _statement(
    execute: Callable[..., object], sql: str, params: object, many: bool, context: dict[str, object]
) -> object:
    faultpoint("statement" + _where())
    return execute(sql, params, many, context)


def _around_commit(commit: Callable[[BaseDatabaseWrapper], None]) -> Callable[[BaseDatabaseWrapper], None]:
    def around(database: BaseDatabaseWrapper) -> None:
        faultpoint("committing" + WITHIN)
        commit(database)
        faultpoint("committed" + WITHIN)  # not really, but Django still counts itself in

    return around


def _around_send(send: Callable[..., None]) -> Callable[..., None]:
    def around(wire: Wire, data: bytes | memoryview) -> None:
        faultpoint("saying" + _where())
        send(wire, data)
        faultpoint("said" + _where())

    return around


def _behind_readline(readline: Callable[..., bytes]) -> Callable[..., bytes]:
    def behind(wire: Wire, *longest: int) -> bytes:
        line = readline(wire, *longest)
        faultpoint("heard" + _where())
        return line

    return behind


def _where() -> str:
    return WITHIN if connection.in_atomic_block else ""
