"""Questions of live streams to the database, asked by few threads that keep a connection each.

Django gives each asynchronous request a thread of its own, whose connection stays open as long as the answer. That of a
stream takes a minute, so a hundred open pages would use up all that PostgreSQL gives by default.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from typing import Final, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections, connections

P = ParamSpec("P")
R = TypeVar("R")

NUMBER: Final = 4
_readers = ThreadPoolExecutor(NUMBER, thread_name_prefix="reader")


def by_readers(question: Callable[P, R]) -> Callable[P, Awaitable[R]]:
    """Make `question`, which reads the database in a query or two, awaitable. It must not write."""

    @wraps(question)
    async def ask(*args: P.args, **kwargs: P.kwargs) -> R:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_readers, partial(_ask_freshly, question, *args, **kwargs))

    return ask


def _ask_freshly(question: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """No request begins or ends in these threads, so nothing else drops a connection that broke or grew old."""
    close_old_connections()
    try:
        return question(*args, **kwargs)
    finally:
        close_old_connections()


#: Awaited at the beginning of a stream: what the request itself read is read, and its connection goes.
release_connection = sync_to_async(connections.close_all)
