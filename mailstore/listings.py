"""Keeps `Listing`: what each folder's list shows of each conversation, so that showing it is one keyset query."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from django.db import connection

from mailstore import bulk
from mailstore.models import Listing
from mailstore.short_names import short_name

SENDERS_LENGTH = 320

_Row = tuple[int, int, int, datetime, bool, str, str, int]

_COLUMNS = (
    "folder_id", "conversation_id", "newest_id", "last_at", "message_count", "unread_count", "senders",
    "has_attachments",
)  # fmt: skip


def refresh(conversations: Collection[int], *, folder_pk: int | None = None) -> None:
    """Bring the listings of `conversations` up to date, in one folder or in all. Runs inside the writer's transaction.

    A conversation without live messages in a folder leaves its list.
    """
    if not conversations:
        return
    rows = _messages(conversations, folder_pk)
    listed = [_listing(pair, list(messages)) for pair, messages in groupby(rows, key=itemgetter(0, 1))]
    # Out and in again takes less than half of what an upsert does on either engine, and nothing names these rows.
    _remove(conversations, folder_pk)
    bulk.insert_rows(Listing, _COLUMNS, listed)


def _messages(conversations: Collection[int], folder_pk: int | None) -> list[_Row]:
    among, parameters = bulk.is_among(conversations)
    where = "AND folder_id = %s" if folder_pk is not None else ""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT folder_id, conversation_id, id, received_at, is_seen, from_name, from_address, attachment_count"  # noqa: S608
            f" FROM mailstore_message WHERE conversation_id {among} AND vanished_at IS NULL {where}"
            " ORDER BY folder_id, conversation_id, received_at, id",
            [*parameters, *([folder_pk] if folder_pk is not None else [])],
        )
        rows: list[_Row] = cursor.fetchall()
        return rows


def _listing(pair: tuple[int, int], messages: list[_Row]) -> bulk.Row:
    newest = messages[-1]
    senders = dict.fromkeys(short_name(name, address) for *_, name, address, _ in reversed(messages))
    shown = ", ".join(reversed(list(filter(None, senders))[:6]))
    return (
        *pair,
        newest[2],
        newest[3],
        len(messages),
        sum(not is_seen for _, _, _, _, is_seen, *_ in messages),
        shown[:SENDERS_LENGTH],
        any(messages_with[7] for messages_with in messages),
    )


def _remove(conversations: Collection[int], folder_pk: int | None) -> None:
    among, parameters = bulk.is_among(conversations)
    where = "AND folder_id = %s" if folder_pk is not None else ""
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM mailstore_listing WHERE conversation_id {among} {where}",  # noqa: S608
            [*parameters, *([folder_pk] if folder_pk is not None else [])],
        )
