"""News for open pages: workers announce, pages listen (server-sent events). Losing one loses nothing but a moment.

The row is the truth; an announcement only says "look again". So failures here are logged and never raised. Each is kept
for a while, because a page listens only some time after it was drawn, and what happened in between would never show.

The client is imported where it is needed: it takes a third of a second, which every start would wait for.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, cast

from django.conf import settings
from django.db import transaction

if TYPE_CHECKING:
    from redis import Redis

log = logging.getLogger(__name__)

LOOK_BACK = 20  # seconds: how long after it was drawn a page may begin to listen without missing anything
KEPT = 1000  # announcements per organization, about

Answer = list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]  # of XREAD: channel, then id and fields of each


def channel(organization_pk: int) -> str:
    return f"live:{organization_pk}"


def announce(organization_pk: int, kind: str, pk: int) -> None:
    """Tell open pages of the organization, after the commit, that the row `kind` `pk` has changed.

    Carries ids only: each page asks with its own user's rights what it may show.
    """
    announce_all(organization_pk, kind, [pk])


def announce_all(organization_pk: int, kind: str, pks: Sequence[int]) -> None:
    """The same for several rows of one kind at once."""
    texts = [json.dumps({"kind": kind, "pk": pk}) for pk in pks]
    if texts:
        transaction.on_commit(lambda: _publish(channel(organization_pk), *texts))


def _publish(name: str, *texts: str) -> None:
    if settings.CACHE_URL.startswith("locmem"):
        return
    from redis import RedisError

    try:
        with _client().pipeline(transaction=False) as commands:
            for text in texts:
                commands.xadd(name, {"news": text}, maxlen=KEPT, approximate=True)
            commands.expire(name, 3 * LOOK_BACK)
            commands.execute()
    except RedisError as exc:
        log.warning("Live news were not published: %s", exc)


@cache
def _client() -> Redis:
    from redis import Redis

    return Redis.from_url(settings.CACHE_URL, socket_timeout=1, socket_connect_timeout=1)


async def listen(organization_pk: int, *, seconds: float) -> AsyncIterator[tuple[str, int] | None]:
    """Yield (kind, pk) as announced; None about every second of silence, so that the caller can look for itself.

    Begins with what was announced in the last moments (LOOK_BACK), each row once. Ends after `seconds`, so that a
    forgotten page does not hold a worker; browsers reconnect by themselves.
    """
    from redis.asyncio import Redis

    name, loop = channel(organization_pk), asyncio.get_running_loop()
    end = loop.time() + seconds
    client = Redis.from_url(settings.CACHE_URL, protocol=2)
    try:
        now, _ = await client.time()  # of the server, which also dates the announcements
        last: str | bytes = f"{(now - LOOK_BACK) * 1000}-0"
        while loop.time() < end:
            answer = cast("Answer", await client.xread({name: last}, block=1000))
            if not answer:
                yield None
                continue
            [(_, entries)] = answer
            last = entries[-1][0]
            for text in dict.fromkeys(fields[b"news"] for _, fields in entries):
                news = json.loads(text)
                yield news["kind"], news["pk"]
    finally:
        await client.aclose()
