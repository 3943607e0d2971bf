"""The table of commands: who answers what, and in which state."""

from __future__ import annotations

from typing import Final

from sandbox.imap import folder_commands as folders
from sandbox.imap import message_commands as messages
from sandbox.imap import session_commands as sessions
from sandbox.imap.session import Command, Handler, State


def _any(run: Handler) -> Command:
    return Command(run, State.ANY, may_expunge=True)


def _signed_in(run: Handler) -> Command:
    return Command(run, State.SIGNED_IN, may_expunge=True)


def _selected(run: Handler, *, may_expunge: bool = True) -> Command:
    return Command(run, State.SELECTED, may_expunge)


COMMANDS: Final = {
    "CAPABILITY": _any(sessions.capability),
    "ID": _any(sessions.identify),
    "NOOP": _any(sessions.noop),
    "LOGOUT": _any(sessions.logout),
    "LOGIN": _any(sessions.login),
    "AUTHENTICATE": _any(sessions.authenticate),
    "IDLE": _signed_in(sessions.idle),
    "NAMESPACE": _signed_in(folders.namespace),
    "LIST": _signed_in(folders.list_folders),
    "LSUB": _signed_in(folders.list_subscribed),
    "STATUS": _signed_in(folders.status),
    "SELECT": _signed_in(folders.select),
    "EXAMINE": _signed_in(folders.examine),
    "CREATE": _signed_in(folders.create),
    "DELETE": _signed_in(folders.delete),
    "RENAME": _signed_in(folders.rename),
    "SUBSCRIBE": _signed_in(folders.subscribe),
    "UNSUBSCRIBE": _signed_in(folders.unsubscribe),
    "APPEND": _signed_in(messages.append),
    "CHECK": _selected(sessions.noop),
    "CLOSE": _selected(folders.close),
    "UNSELECT": _selected(folders.unselect),
    "FETCH": _selected(messages.fetch, may_expunge=False),
    "STORE": _selected(messages.store, may_expunge=False),
    "SEARCH": _selected(messages.search, may_expunge=False),
    "COPY": _selected(messages.copy),
    "MOVE": _selected(messages.move),
    "EXPUNGE": _selected(messages.expunge),
    "UID FETCH": _selected(messages.uid_fetch),
    "UID STORE": _selected(messages.uid_store),
    "UID SEARCH": _selected(messages.uid_search),
    "UID COPY": _selected(messages.uid_copy),
    "UID MOVE": _selected(messages.uid_move),
    "UID EXPUNGE": _selected(messages.uid_expunge),
}
