"""A logged-in IMAP session: the commands we use, in our words (RFC 9051)."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from protocols.credentials import Credentials
from protocols.endpoint import Endpoint
from protocols.errors import MailError, ProtocolViolation, Refused, UnsafeArgument
from protocols.imap import folders, opening
from protocols.imap.changing import ChangeableFolder, flag_list
from protocols.imap.connection import Connection, Literal, Pieces, astring
from protocols.imap.folders import FolderEntry, Namespaces
from protocols.imap.message_reading import MONTHS, MessageReading
from protocols.imap.opened import Opened, counts_changes, read_opened, read_status, status_items
from protocols.imap.plan import FolderState
from protocols.imap.responses import response_code
from protocols.network import Dialer
from protocols.stepping import watched
from protocols.steps import Observer, StepName, ignore
from protocols.tls import SYSTEM_TRUST, TlsTrust
from protocols.transcript import Transcript

logger = logging.getLogger(__name__)

MOST_FOLDERS = 50_000
LOGOUT_TIMEOUT = 3.0  # seconds

_LINE_END = re.compile(rb"\r\n|\r|\n")


@contextmanager
def open_session(
    endpoint: Endpoint,
    credentials: Credentials | None,
    *,
    dialer: Dialer,
    observe: Observer = ignore,
    trust: TlsTrust = SYSTEM_TRUST,
    transcript: Transcript | None = None,
    compress: bool = True,
) -> Iterator[ImapSession]:
    """Log in to `endpoint`, yield the session, log out and close on every path.

    compress: where the server offers it; costs about 70 KB of memory for as long as the session lasts.
    Without credentials nobody is logged in: the session knows the capabilities and little else.
    Raises Unreachable (no connection, or it broke), SecurityRefused, LoginRefused (bad credentials), Deferred (too
    busy), Refused (the server answered NO or BAD) or ProtocolViolation, also for commands issued inside the block.
    Timeouts come from the endpoint, in seconds.
    """
    connection, logged_in = opening.connect(endpoint, dialer, trust=trust, observe=observe, transcript=transcript)
    try:
        if not logged_in and credentials is not None:
            with watched(StepName.LOGIN, observe) as step:
                opening.log_in(connection, credentials)
                if compress:
                    opening.compress(connection)
                step.detail = connection.alerts[-1] if connection.alerts else ""
        yield ImapSession(connection)
    finally:
        say_goodbye(connection)


class ImapSession(MessageReading):
    """Commands on one connection. Not safe to share between threads.

    Every method raises Unreachable, Refused, Deferred or ProtocolViolation; the server's words are in `reply`, and
    `protocols.imap.responses.response_code(reply)` gives their code, such as NONEXISTENT or OVERQUOTA.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._resync_enabled = False
        self._opened_by = b""  # EXAMINE or SELECT, while a folder is open

    @property
    def usable(self) -> bool:
        """False after a break or an abandoned fetch: only closing is left."""
        return not self._connection.broken

    def folders(self, *, with_states: bool = False) -> list[FolderEntry]:
        """List every folder with its use: from the server where it tells (RFC 6154), else guessed by name.

        with_states: with their states too, where the server tells them in the same answer (LIST-STATUS, RFC 5819).
        """
        options: list[bytes] = []
        if {"SPECIAL-USE", "LIST-EXTENDED"} <= self.capabilities:
            options.append(b"SPECIAL-USE")
        if with_states and "LIST-STATUS" in self.capabilities:
            options.append(b"STATUS " + status_items(self.capabilities))
        arguments = (b"RETURN", b"(" + b" ".join(options) + b")") if options else ()
        entries: dict[bytes, FolderEntry] = {}
        states: dict[bytes, FolderState] = {}
        for response in self._connection.converse(b"LIST", b'""', b'"*"', *arguments):
            if response.kind == b"LIST":
                entry = folders.read_entry(response)
                entries[entry.raw_name] = entry
            elif response.kind == b"STATUS" and (told := read_status(response)) is not None:
                states[told[0]] = told[1]
            if len(entries) > MOST_FOLDERS or len(states) > MOST_FOLDERS:
                raise ProtocolViolation(f"The server lists more than {MOST_FOLDERS} folders, which is too many.")
        inbox = next((state for name, state in states.items() if name.upper() == b"INBOX"), None)
        states |= {b"INBOX": inbox} if inbox is not None else {}
        return [replace(entry, state=states.get(entry.raw_name)) for entry in folders.with_guesses(entries.values())]

    def namespaces(self) -> Namespaces:
        """Where this user's own folders lie and where those of others do (RFC 2342); empty where it is not told."""
        if "NAMESPACE" not in self.capabilities:
            return Namespaces()
        answers = self._command(b"NAMESPACE", wanted={b"NAMESPACE"})
        return folders.read_namespaces(answers[-1]) if answers else Namespaces()

    def examine(self, raw_name: bytes) -> FolderState:
        """Open a folder for reading only (EXAMINE): nothing we do changes it."""
        options = (b"(CONDSTORE)",) if counts_changes(self.capabilities) else ()
        return self._open(b"EXAMINE", raw_name, options).state

    def resync(self, raw_name: bytes, known: FolderState) -> Opened:
        """Open a folder like `examine`; with QRESYNC hear what left and what changed since `known` (RFC 7162, 3.2.5).

        Where the result is not `resynced` (no QRESYNC, another epoch, no MODSEQ kept) the caller has to compare.
        """
        if not self.resyncs or known.highestmodseq is None:
            return Opened(self.examine(raw_name))
        if not self._resync_enabled:
            self._command(b"ENABLE", b"QRESYNC")
            self._resync_enabled = True
        option = b"(QRESYNC (%d %d))" % (known.uidvalidity, known.highestmodseq)
        opened = self._open(b"EXAMINE", raw_name, (option,))
        counts = opened.state.highestmodseq is not None
        return replace(opened, resynced=counts and opened.state.uidvalidity == known.uidvalidity)

    @property
    def resyncs(self) -> bool:
        """Whether `resync` is told what left (QRESYNC, which needs ENABLE; RFC 5161)."""
        return {"QRESYNC", "ENABLE"} <= self.capabilities

    def select(self, raw_name: bytes) -> ChangeableFolder:
        """Open a folder for changes (SELECT), for somebody who asked for one.

        Raises Refused also where the server lets this user only read.
        """
        options = (b"(CONDSTORE)",) if counts_changes(self.capabilities) else ()
        opened = self._open(b"SELECT", raw_name, options)
        if response_code(self._connection.answer)[0] == "READ-ONLY":
            raise Refused("The server lets us only read this folder.", reply=self._connection.answer)
        return ChangeableFolder(self._connection, opened.state, opened.permanent)

    def status(self, raw_name: bytes) -> FolderState:
        """Ask for the state of a folder without opening it (STATUS): the cheap poll. Not for the open folder."""
        items = status_items(self.capabilities)
        for response in self._command(b"STATUS", astring(raw_name), items, wanted={b"STATUS"}):
            if (told := read_status(response)) is not None:
                return told[1]
        raise ProtocolViolation("The server did not tell the state of the folder.")

    def append(
        self, raw_name: bytes, raw: bytes | Pieces, *, flags: Collection[str] = (), when: datetime | None = None
    ) -> int | None:
        """Store a message in a folder; return its UID where the server tells (RFC 4315), else None.

        Line ends become CRLF; `Pieces` go as they are. Raises UnsafeArgument for a NUL in the message or a flag that is
        none.
        """
        options = [flag_list(flags)] if flags else []
        if when is not None:
            options.append(_written_date(when))
        self._command(b"APPEND", astring(raw_name), *options, raw if isinstance(raw, Pieces) else _literal(raw))
        code, argument = response_code(self._connection.answer)
        uid = argument.rpartition(" ")[2]
        return int(uid) if code == "APPENDUID" and uid.isdigit() else None

    def noop(self) -> None:
        """Keep the connection alive and let the server tell its news."""
        self._command(b"NOOP")

    def leave_folder(self) -> None:
        """Close the open folder, if there is one, and remove nothing from it (UNSELECT, RFC 3691).

        Without UNSELECT a folder that was opened for reading is left by CLOSE, which removes nothing either (RFC 9051,
        6.4.1). Raises Refused for one that was opened for changes.
        """
        if not self._opened_by:
            return
        if "UNSELECT" not in self.capabilities and "IMAP4REV2" not in self.capabilities:
            if self._opened_by != b"EXAMINE":
                raise Refused("The server knows no way to leave this folder and remove nothing.")
            self._command(b"CLOSE")
        else:
            self._command(b"UNSELECT")
        self._opened_by = b""

    def abandon(self) -> None:
        """Close the line without a word: in a forked process it belongs to another one."""
        self._connection.close()

    @contextmanager
    def patience(self, seconds: float) -> Iterator[None]:
        """Within the block wait no longer than `seconds` for an answer."""
        wire = self._connection.wire
        usual = wire.timeout
        wire.be_patient(min(usual, seconds))
        try:
            yield
        finally:
            wire.be_patient(usual)

    def _open(self, command: bytes, raw_name: bytes, options: tuple[bytes, ...]) -> Opened:
        self._opened_by = b""  # whatever comes of it, the folder before is left (RFC 9051, 6.3.2)
        opened = read_opened(self._connection.converse(command, astring(raw_name), *options))
        self._opened_by = command
        if opened.state.uidnext:
            return opened
        return replace(opened, state=replace(opened.state, uidnext=self._last_uid(opened.state.exists) + 1))

    def _last_uid(self, exists: int) -> int:
        return max(self.uids_of_numbers(range(exists, exists + 1)), default=0) if exists else 0


def say_goodbye(connection: Connection) -> None:
    """Log out and close; what goes wrong here is nobody's concern any more."""
    try:
        if not connection.broken:
            connection.wire.be_patient(min(connection.wire.timeout, LOGOUT_TIMEOUT))
            connection.command(b"LOGOUT")
    except (MailError, OSError) as exc:
        logger.debug("The server did not take the goodbye: %s", exc)
    finally:
        connection.close()


def _literal(raw: bytes) -> Literal:
    if b"\0" in raw:
        raise UnsafeArgument("The message contains a NUL character, which mail servers do not take.")
    return Literal(_LINE_END.sub(b"\r\n", raw) if raw.count(b"\r\n") != raw.count(b"\n") or b"\r" in raw else raw)


def _written_date(when: datetime) -> bytes:
    moment = when.astimezone(UTC)
    return f'"{moment.day:2}-{MONTHS[moment.month - 1]}-{moment.year:04} {moment:%H:%M:%S} +0000"'.encode("ascii")
