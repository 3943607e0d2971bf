"""Live news over the real broker: what was announced just before a page listens reaches it too."""

import asyncio
import signal

import pytest

from emailsettings import embedded
from organizations import live
from tests.servers.processes import private_folder, start, stop, wait_until


@pytest.fixture(scope="module")
def broker():
    with private_folder("es-live-") as folder:
        socket = folder / "valkey.sock"
        process = start(embedded.command(socket), log=folder / "log", folder=folder)
        wait_until(lambda: embedded.is_answering(socket), "answer of the broker")
        yield f"unix://{socket}?db=1"
        stop(process, number=signal.SIGTERM)


@pytest.fixture
def news(broker, settings, django_capture_on_commit_callbacks, db):
    settings.CACHE_URL = broker
    live._client.cache_clear()

    def announce(*rows):
        with django_capture_on_commit_callbacks(execute=True):
            for organization, kind, pk in rows:
                live.announce(organization, kind, pk)

    yield announce
    live._client().flushdb()
    live._client().close()
    live._client.cache_clear()


def heard(organization):
    """What a page of the organization hears when it begins to listen now."""

    async def listen():
        return [each async for each in live.listen(organization, seconds=0.1) if each is not None]

    return asyncio.run(listen())


def test_what_happened_between_drawing_and_listening_is_told_once_for_each_row(news):
    news((1, "mailbox", 7), (1, "folder", 3), (1, "mailbox", 7))
    assert heard(1) == [("mailbox", 7), ("folder", 3)]


def test_what_happened_long_before_is_not_told_again(news, monkeypatch):
    news((1, "mailbox", 7))
    monkeypatch.setattr(live, "LOOK_BACK", -60)
    assert heard(1) == []


def test_one_organization_does_not_hear_of_another(news):
    news((2, "mailbox", 7))
    assert heard(1) == []


def test_nothing_is_kept_for_an_organization_that_is_quiet(news):
    news((1, "mailbox", 7))
    assert 0 < live._client().ttl(live.channel(1)) <= 3 * live.LOOK_BACK


def test_news_come_while_a_page_listens(news):
    async def listen():
        told = []
        async for each in live.listen(1, seconds=5):
            if each is None:
                await asyncio.to_thread(live._publish, live.channel(1), '{"kind": "outbox", "pk": 4}')
            else:
                told.append(each)
                break
        return told

    assert asyncio.run(listen()) == [("outbox", 4)]
