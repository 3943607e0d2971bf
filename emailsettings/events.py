"""Live news for open pages, as server-sent events: which cards to ask for again (see organizations/live.py)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime

import redis
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.views import redirect_to_login
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_GET

from accounts.models import Mailbox
from delivery.models import LogRun, OutboxMessage
from emailsettings.readers import by_readers, release_connection
from mailservers.models import MailServer
from mailstore.models import Folder, SyncSchedule
from notifications.models import Notification
from notifications.telling import LIVE_KIND as NOTIFICATIONS
from organizations import live
from organizations.models import User

STREAM_SECONDS = 60.0  # then the browser comes back by itself; a forgotten page does not hold a worker
RETRY_MILLISECONDS = 500
HEARTBEAT_SECONDS = 15.0  # silence after which a comment keeps proxies from closing the line
SESSION_SECONDS = 3.0  # how long a stream may outlive its session
POLL_SECONDS = 1.0  # without a broker

News = AsyncIterator[tuple[str, int] | None]


@require_GET
async def events(request: HttpRequest) -> HttpResponseBase:
    """Stream `data: {"kind": KIND, "pk": N}` about rows that the user may know of, for a minute.

    It ends soon after the session: by signing out, a new password, or when the person is deactivated. `?panel=` names
    the mailbox that an open mail panel shows; when the right to that ends, the panel is told once, and closes.
    """
    user = await request.auser()
    if not isinstance(user, User):  # the session ended since the middleware let the request through
        return redirect_to_login(request.get_full_path())
    return StreamingHttpResponse(
        _stream(user, request.session.session_key or "", _key(request.GET.get("panel", ""))),
        content_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _stream(user: User, session_key: str, panel: int | None = None) -> AsyncIterator[str]:
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    await release_connection()
    loop = asyncio.get_running_loop()
    quiet_since = seen_at = loop.time()
    try:
        async for news in _news(user):
            if loop.time() - seen_at >= SESSION_SECONDS:
                if not await _is_signed_in(user, session_key):
                    return  # the browser comes back, and is sent to the sign-in page
                seen_at = loop.time()
                if panel is not None and not await _has_in_panel(user, panel):
                    yield f"data: {json.dumps({'kind': 'mailbox', 'pk': panel})}\n\n"
                    panel = None
            if news is not None and await by_readers(may_know)(user, *news):
                yield f"data: {json.dumps({'kind': news[0], 'pk': news[1]})}\n\n"
                quiet_since = loop.time()
            elif loop.time() - quiet_since >= HEARTBEAT_SECONDS:
                yield ": still here\n\n"
                quiet_since = loop.time()
    except redis.RedisError:
        return  # the browser tries again; pages work without news


def _news(user: User) -> News:
    if settings.CACHE_URL.startswith("locmem"):
        return _poll(user, seconds=STREAM_SECONDS)
    return live.listen(user.organization_id, seconds=STREAM_SECONDS)


async def _poll(user: User, *, seconds: float) -> News:
    """News without a broker: look at the schedule rows of the organization, and at the person's bell, each second."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    before, told = await _schedules(user), await _bell(user)
    while loop.time() < end:
        yield None
        await asyncio.sleep(POLL_SECONDS)
        now = await _schedules(user)
        for pk in now:
            if now[pk] != before.get(pk):
                yield "mailbox", pk
        before = now
        if told != (told := await _bell(user)):
            yield NOTIFICATIONS, user.pk


@by_readers
def _schedules(user: User) -> dict[int, tuple[object, ...]]:
    rows = SyncSchedule.objects.filter(mailbox__organization_id=user.organization_id)
    columns = ("leased_until", "finished_at", "folder_name", "done", "total", "waiting_for", "mailbox__attention_since")
    return {pk: tuple(values) for pk, *values in rows.values_list("pk", *columns)}


@by_readers
def _bell(user: User) -> tuple[int, int]:
    """The newest notification, and how many are unread."""
    own = Notification.objects.of(user)
    return own.order_by("-pk").values_list("pk", flat=True).first() or 0, own.unread_count()


@by_readers
def _has_in_panel(user: User, mailbox_pk: int) -> bool:
    return Mailbox.objects.in_panel_of(user, timezone.now()).filter(pk=mailbox_pk).exists()


def _key(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


@by_readers
def _is_signed_in(user: User, session_key: str) -> bool:
    """Whether the session still is the user's: two look-ups by key, and nothing is written."""
    session = SessionStore(session_key).load()
    present = User.objects.filter(pk=user.pk, is_active=True).first()
    return (
        present is not None
        and session.get(SESSION_KEY) == str(user.pk)
        and constant_time_compare(session.get(HASH_SESSION_KEY, ""), present.get_session_auth_hash())
    )


def may_know(user: User, kind: str, pk: int) -> bool:
    """Ask anew for each announcement: the user's rights may have changed since the page was opened."""
    if kind == NOTIFICATIONS and pk != user.pk:
        return False  # somebody else's; without a query, since many may come at once
    allowed = _KINDS.get(kind)
    present = User.objects.filter(pk=user.pk, is_active=True).first()
    return allowed is not None and present is not None and allowed(present, pk, timezone.now())


def _mailbox(user: User, pk: int, now: datetime) -> bool:
    return Mailbox.objects.visible_to(user, now).filter(pk=pk).exists()


def _folder(user: User, pk: int, now: datetime) -> bool:
    return Folder.objects.filter(pk=pk, mailbox__in=Mailbox.objects.readable_by(user, now)).exists()


def _mail_server(user: User, pk: int, now: datetime) -> bool:
    return MailServer.objects.manageable_by(user).filter(pk=pk).exists()


def _outbox(user: User, pk: int, now: datetime) -> bool:
    return OutboxMessage.objects.visible_to(user, now).filter(pk=pk).exists()


def _run(user: User, pk: int, now: datetime) -> bool:
    return LogRun.objects.visible_to(user).filter(pk=pk).exists()


def _notifications(user: User, pk: int, now: datetime) -> bool:
    return user.pk == pk


_KINDS: dict[str, Callable[[User, int, datetime], bool]] = {
    "mailbox": _mailbox,
    "folder": _folder,
    "mailserver": _mail_server,
    "outbox": _outbox,
    "run": _run,
    NOTIFICATIONS: _notifications,
}
