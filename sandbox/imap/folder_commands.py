"""Commands about folders: listing, opening, making, renaming."""

from __future__ import annotations

import re
from typing import Final

from sandbox.imap.fetch import flag_list
from sandbox.imap.grammar import Arguments, BadSyntax, folder_name
from sandbox.imap.selected import Selected
from sandbox.imap.session import No, Session
from sandbox.store import DELIMITER, Folder, NoSuchFolder

SYSTEM_FLAGS: Final = ("\\Answered", "\\Deleted", "\\Draft", "\\Flagged", "\\Seen")
MAX_NAME: Final = 200  # characters


async def namespace(session: Session, arguments: Arguments) -> str:
    """RFC 2342: one personal namespace, nothing shared."""
    arguments.end()
    await session.send(b'* NAMESPACE (("" "/")) NIL NIL\r\n')
    return "Done."


async def list_folders(session: Session, arguments: Arguments) -> str:
    pattern = _read_pattern(arguments)
    if pattern is None:
        await session.send(b'* LIST (\\Noselect) "/" ""\r\n')
        return "Done."
    folders = session.store.folders(session.mailbox)
    for folder in folders:
        if pattern.fullmatch(folder.name):
            attributes = " ".join(_attributes(folder, folders)).encode("ascii")
            await session.send(b'* LIST (%s) "/" %s\r\n' % (attributes, folder_name(folder.name)))
    return "Done."


async def list_subscribed(session: Session, arguments: Arguments) -> str:
    pattern = _read_pattern(arguments)
    for name in session.store.subscriptions(session.mailbox):
        if pattern and pattern.fullmatch(name):
            exists = session.store.has_folder(session.mailbox, name)
            attributes = b"" if exists else b"\\Noselect"
            await session.send(b'* LSUB (%s) "/" %s\r\n' % (attributes, folder_name(name)))
    return "Done."


def _read_pattern(arguments: Arguments) -> re.Pattern[str] | None:
    """Reference and pattern of LIST as one expression; None when only the delimiter is asked for."""
    arguments.space()
    reference = arguments.folder()
    arguments.space()
    pattern = arguments.pattern()
    arguments.end()
    if not pattern:
        return None
    whole = re.sub(r"\*[*%]*", "*", reference + pattern)  # runs of wildcards would backtrack for ever
    whole = re.sub(r"%+", "%", whole)
    if sum(whole.count(wildcard) for wildcard in "*%") > 8:
        raise No("[LIMIT] Use at most eight wildcards.")
    words = {"*": ".*", "%": "[^/]*"}
    return re.compile("".join(words.get(character, re.escape(character)) for character in whole))


def _attributes(folder: Folder, folders: list[Folder]) -> list[str]:
    below = any(other.name.startswith(folder.name + DELIMITER) for other in folders)
    return ["\\HasChildren" if below else "\\HasNoChildren", *folder.special_use.split()]


async def status(session: Session, arguments: Arguments) -> str:
    arguments.space()
    folder = session.store.folder(session.mailbox, arguments.folder())
    arguments.space()
    wanted = arguments.atoms()
    arguments.end()
    counts = session.store.counts(folder)
    values = {
        "MESSAGES": counts.messages,
        "RECENT": counts.recent,
        "UIDNEXT": folder.uidnext,
        "UIDVALIDITY": folder.uidvalidity,
        "UNSEEN": counts.unseen,
        "DELETED": counts.deleted,
        "SIZE": counts.size,
    }
    unknown = [word for word in wanted if word not in values]
    if unknown:
        raise BadSyntax(f"STATUS does not know {unknown[0]}.")
    listed = " ".join(f"{word} {values[word]}" for word in wanted).encode("ascii")
    await session.send(b"* STATUS %s (%s)\r\n" % (folder_name(folder.name), listed))
    return "Done."


async def select(session: Session, arguments: Arguments) -> str:
    await _open(session, arguments, read_only=False)
    return "[READ-WRITE] Opened."


async def examine(session: Session, arguments: Arguments) -> str:
    await _open(session, arguments, read_only=True)
    return "[READ-ONLY] Opened for reading."


async def _open(session: Session, arguments: Arguments, *, read_only: bool) -> None:
    arguments.space()
    name = arguments.folder()
    arguments.end()
    session.selected = None  # also when it fails (RFC 3501, 6.3.1)
    folder = session.store.folder(session.mailbox, name)
    selected = Selected(session.store, folder, read_only=read_only)
    recent = sum(selected.is_recent(uid) for uid in selected.uids)
    lines = [
        b"* FLAGS %s\r\n" % flag_list(SYSTEM_FLAGS),
        b"* OK [PERMANENTFLAGS %s] Flags that stay.\r\n" % flag_list(() if read_only else (*SYSTEM_FLAGS, "\\*")),
        b"* %d EXISTS\r\n* %d RECENT\r\n" % (len(selected.uids), recent),
        b"* OK [UIDVALIDITY %d] Done.\r\n* OK [UIDNEXT %d] Done.\r\n" % (folder.uidvalidity, folder.uidnext),
    ]
    unseen = session.store.first_unseen(folder.pk)
    if unseen:
        lines.append(b"* OK [UNSEEN %d] The first unread one.\r\n" % selected.number_of(unseen))
    await session.send(b"".join(lines))
    session.selected = selected


async def close(session: Session, arguments: Arguments) -> str:
    """Leave the folder and expunge without saying so (RFC 3501, 6.4.2)."""
    arguments.end()
    selected = session.open_folder
    if not selected.read_only:
        rows = session.store.rows(selected.folder.pk, selected.uids)
        session.store.expunge(selected.folder.pk, [row.uid for row in rows if "\\Deleted" in row.flags])
    session.selected = None
    return "Closed."


async def unselect(session: Session, arguments: Arguments) -> str:
    arguments.end()
    session.selected = None
    return "Left."


async def create(session: Session, arguments: Arguments) -> str:
    arguments.space()
    name = _new_name(arguments)
    arguments.end()
    session.store.create_folder(session.mailbox, name)
    return "Made."


async def delete(session: Session, arguments: Arguments) -> str:
    arguments.space()
    folder = session.store.folder(session.mailbox, arguments.folder())
    arguments.end()
    if session.selected and session.selected.folder.pk == folder.pk:
        session.selected = None
    session.store.delete_folder(folder)
    return "Deleted."


async def rename(session: Session, arguments: Arguments) -> str:
    arguments.space()
    folder = session.store.folder(session.mailbox, arguments.folder())
    arguments.space()
    name = _new_name(arguments)
    arguments.end()
    session.store.rename_folder(folder, name)
    return "Renamed."


def _new_name(arguments: Arguments) -> str:
    """A name that a folder may take; a delimiter at the end only says that folders will follow."""
    name = arguments.folder().removesuffix(DELIMITER)
    if not all(name.split(DELIMITER)):
        raise No("[CANNOT] Every part of a folder name needs at least one character.")
    if len(name) > MAX_NAME or any(wildcard in name for wildcard in "*%"):
        raise No(f"[CANNOT] A folder name has at most {MAX_NAME} characters and no * or %.")
    return name


async def subscribe(session: Session, arguments: Arguments) -> str:
    arguments.space()
    name = arguments.folder()
    arguments.end()
    if not session.store.has_folder(session.mailbox, name):
        raise NoSuchFolder(f"There is no folder {name!r}.")
    session.store.subscribe(session.mailbox, name)
    return "Subscribed."


async def unsubscribe(session: Session, arguments: Arguments) -> str:
    arguments.space()
    session.store.unsubscribe(session.mailbox, arguments.folder())
    arguments.end()
    return "Unsubscribed."
