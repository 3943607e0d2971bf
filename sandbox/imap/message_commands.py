"""Commands about messages: reading, flags, copying, searching, removing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from sandbox.imap.fetch import Item, answer, flag_list, read_items
from sandbox.imap.grammar import Arguments, BadSyntax, SequenceSet, sequence_text
from sandbox.imap.search import Candidate, Search, UnknownCharset, read_search
from sandbox.imap.selected import Selected
from sandbox.imap.session import No, Session
from sandbox.store import Flags, Folder, Row, StoreError

_ROWS_AT_ONCE: Final = 500


async def fetch(session: Session, arguments: Arguments) -> str:
    return await _fetch(session, arguments, by_uid=False)


async def uid_fetch(session: Session, arguments: Arguments) -> str:
    return await _fetch(session, arguments, by_uid=True)


async def _fetch(session: Session, arguments: Arguments, *, by_uid: bool) -> str:
    """Answer message by message; no more than one message is held in memory."""
    selected = session.open_folder
    uids = _read_set(arguments, selected, by_uid=by_uid)
    arguments.space()
    items = read_items(arguments)
    arguments.end()
    if by_uid and not any(item.name == b"UID" for item in items):
        items.insert(0, Item(b"UID"))
    marks_seen = not selected.read_only and any(item.marks_seen for item in items)
    for row in _rows(session, uids):
        row, with_flags = _mark_seen(session, row, items) if marks_seen else (row, items)
        message = session.message(row)
        recent = selected.is_recent(row.uid)
        try:
            answers = [answer(item, message, is_recent=recent) for item in with_flags]
        except StoreError:
            continue  # expunged by somebody else while we were answering (RFC 2180, 4.1)
        await session.send(b"* %d FETCH (%s)\r\n" % (selected.number_of(row.uid), b" ".join(answers)))
    return "Fetched."


def _mark_seen(session: Session, row: Row, items: list[Item]) -> tuple[Row, list[Item]]:
    """BODY[] marks the message read, and the new flags are told with it (RFC 3501, 6.4.5)."""
    if "\\Seen" in row.flags:
        return row, items
    flags = row.flags | {"\\Seen"}
    session.store.set_flags(session.open_folder.folder.pk, {row.uid: flags})
    told = any(item.name == b"FLAGS" for item in items)
    return replace(row, flags=flags), items if told else [*items, Item(b"FLAGS")]


def _rows(session: Session, uids: list[int]) -> Iterator[Row]:
    folder_pk = session.open_folder.folder.pk
    for start in range(0, len(uids), _ROWS_AT_ONCE):
        yield from session.store.rows(folder_pk, uids[start : start + _ROWS_AT_ONCE])


def _read_set(arguments: Arguments, selected: Selected, *, by_uid: bool) -> list[int]:
    arguments.space()
    return selected.resolve(arguments.sequence_set(), by_uid=by_uid)


def _refuse_when_read_only(selected: Selected) -> None:
    if selected.read_only:
        raise No("[CANNOT] The folder is open for reading only; use SELECT to change it.")


async def store(session: Session, arguments: Arguments) -> str:
    return await _store(session, arguments, by_uid=False)


async def uid_store(session: Session, arguments: Arguments) -> str:
    return await _store(session, arguments, by_uid=True)


async def _store(session: Session, arguments: Arguments, *, by_uid: bool) -> str:
    selected = session.open_folder
    uids = _read_set(arguments, selected, by_uid=by_uid)
    arguments.space()
    action = arguments.atom()
    arguments.space()
    flags = arguments.flags()
    arguments.end()
    if action.removesuffix(".SILENT") not in {"FLAGS", "+FLAGS", "-FLAGS"}:
        raise BadSyntax("STORE takes FLAGS, +FLAGS or -FLAGS.")
    _refuse_when_read_only(selected)
    await session.send(b"".join(selected.news(may_expunge=False, with_uid=by_uid)))  # others' changes first
    rows = session.store.rows(selected.folder.pk, uids)
    changed = {row.uid: _combined(row.flags, action, flags) for row in rows}
    session.store.set_flags(
        selected.folder.pk, {row.uid: changed[row.uid] for row in rows if changed[row.uid] != row.flags}
    )
    selected.note_own_flags()
    if not action.endswith(".SILENT"):
        for uid, own in changed.items():
            named = b"UID %d " % uid if by_uid else b""
            listed = flag_list(own, is_recent=selected.is_recent(uid))
            await session.send(b"* %d FETCH (%sFLAGS %s)\r\n" % (selected.number_of(uid), named, listed))
    return "Stored."


def _combined(own: Flags, action: str, flags: Flags) -> Flags:
    if action.startswith("+"):
        return own | flags
    if action.startswith("-"):
        lowered = {flag.lower() for flag in flags}
        return frozenset(flag for flag in own if flag.lower() not in lowered)
    return flags


async def copy(session: Session, arguments: Arguments) -> str:
    return await _copy(session, arguments, by_uid=False)


async def uid_copy(session: Session, arguments: Arguments) -> str:
    return await _copy(session, arguments, by_uid=True)


async def _copy(session: Session, arguments: Arguments, *, by_uid: bool) -> str:
    uids = _read_set(arguments, session.open_folder, by_uid=by_uid)
    target = _read_target(session, arguments)
    copied = session.store.copy(session.open_folder.folder.pk, uids, target.pk)
    return f"{_copyuid(target, copied)}Copied."


async def move(session: Session, arguments: Arguments) -> str:
    return await _move(session, arguments, by_uid=False)


async def uid_move(session: Session, arguments: Arguments) -> str:
    return await _move(session, arguments, by_uid=True)


async def _move(session: Session, arguments: Arguments, *, by_uid: bool) -> str:
    selected = session.open_folder
    uids = _read_set(arguments, selected, by_uid=by_uid)
    target = _read_target(session, arguments)
    _refuse_when_read_only(selected)
    moved = session.store.move(selected.folder.pk, uids, target.pk)
    if moved:
        await session.send(f"* OK {_copyuid(target, moved)}Moved.\r\n".encode())
    return "Moved."  # the EXPUNGE lines follow as news, before the tagged answer (RFC 6851, 3.3)


def _read_target(session: Session, arguments: Arguments) -> Folder:
    arguments.space()
    name = arguments.folder()
    arguments.end()
    if not session.store.has_folder(session.mailbox, name):
        raise No("[TRYCREATE] There is no such folder; make it first.")
    return session.store.folder(session.mailbox, name)


def _copyuid(target: Folder, uids: dict[int, int]) -> str:
    """The response code of UIDPLUS (RFC 4315), empty when nothing was copied."""
    if not uids:
        return ""
    old, new = sequence_text(list(uids)).decode(), sequence_text(list(uids.values())).decode()
    return f"[COPYUID {target.uidvalidity} {old} {new}] "


async def append(session: Session, arguments: Arguments) -> str:
    arguments.space()
    name = arguments.folder()
    arguments.space()
    flags: Flags = frozenset()
    if arguments.sees(b"("):
        flags = arguments.flags()
        arguments.space()
    internal_at = int(time.time())
    if arguments.sees(b'"'):
        internal_at = int(arguments.date_time().timestamp())
        arguments.space()
    raw = arguments.literal()
    arguments.end()
    if not session.store.has_folder(session.mailbox, name):
        raise No("[TRYCREATE] There is no such folder; make it first.")
    folder = session.store.folder(session.mailbox, name)
    [uid] = session.store.add([folder.pk], raw, flags=flags, internal_at=internal_at)
    return f"[APPENDUID {folder.uidvalidity} {uid}] Stored."


async def expunge(session: Session, arguments: Arguments) -> str:
    arguments.end()
    return _expunge(session, session.open_folder.uids)


async def uid_expunge(session: Session, arguments: Arguments) -> str:
    uids = _read_set(arguments, session.open_folder, by_uid=True)
    arguments.end()
    return _expunge(session, uids)


def _expunge(session: Session, uids: list[int]) -> str:
    selected = session.open_folder
    _refuse_when_read_only(selected)
    rows = session.store.rows(selected.folder.pk, uids)
    session.store.expunge(selected.folder.pk, [row.uid for row in rows if "\\Deleted" in row.flags])
    return "Expunged."


async def search(session: Session, arguments: Arguments) -> str:
    return await _search(session, arguments, by_uid=False)


async def uid_search(session: Session, arguments: Arguments) -> str:
    return await _search(session, arguments, by_uid=True)


async def _search(session: Session, arguments: Arguments, *, by_uid: bool) -> str:
    selected = session.open_folder

    def resolve(wanted: SequenceSet, of_uids: bool) -> frozenset[int]:
        return frozenset(selected.resolve(wanted, by_uid=of_uids))

    try:
        query = read_search(arguments, resolve)
    except UnknownCharset as exc:
        raise No("[BADCHARSET (US-ASCII UTF-8)] The sandbox searches in UTF-8.") from exc
    found = []
    for row in _rows(session, list(selected.uids)):
        number = selected.number_of(row.uid)
        candidate = Candidate(session.message(row), number, selected.is_recent(row.uid))
        if query.test(candidate):
            found.append(row.uid if by_uid else number)
    await session.send(_found(query, found, session.tag, by_uid=by_uid))
    return "Searched."


def _found(query: Search, found: list[int], tag: str, *, by_uid: bool) -> bytes:
    if query.returns is None:
        return b"* SEARCH%s\r\n" % b"".join(b" %d" % number for number in found)
    parts = [f'* ESEARCH (TAG "{tag}")'.encode()]
    if by_uid:
        parts.append(b"UID")
    if found and "MIN" in query.returns:
        parts.append(b"MIN %d" % found[0])
    if found and "MAX" in query.returns:
        parts.append(b"MAX %d" % found[-1])
    if "COUNT" in query.returns:
        parts.append(b"COUNT %d" % len(found))
    if found and "ALL" in query.returns:
        parts.append(b"ALL " + sequence_text(found))
    return b" ".join(parts) + b"\r\n"
