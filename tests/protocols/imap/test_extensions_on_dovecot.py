"""What a server offers beyond the base protocol, used on a real one; and changes, which only `select` allows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from protocols.credentials import Credentials, Secret
from protocols.endpoint import Endpoint, Security
from protocols.errors import Refused, UnsafeArgument
from protocols.imap.changing import NotOffered
from protocols.imap.folders import FolderEntry, Namespaces
from protocols.imap.plan import UidSet
from protocols.imap.session import ImapSession, open_session
from protocols.network import Dialer, DialPolicy
from protocols.transcript import Transcript
from tests.servers.dovecot import Dovecot
from tests.servers.scripted import scripted

LETTER = b"Message-ID: <%d@example.org>\r\nSubject: Letter %d\r\n\r\nHello.\r\n"


@pytest.fixture
def user(dovecot: Dovecot) -> Credentials:
    return dovecot.new_user()


@contextmanager
def session_of(dovecot: Dovecot, user: Credentials, transcript: Transcript | None = None) -> Iterator[ImapSession]:
    with open_session(dovecot.endpoint(), user, dialer=dovecot.dialer, transcript=transcript) as session:
        yield session


def deliver(session: ImapSession, *numbers: int, folder: bytes = b"INBOX") -> None:
    for number in numbers:
        session.append(folder, LETTER % (number, number))


def without(session: ImapSession, *names: str) -> None:
    session._connection.capabilities -= set(names)


def test_capabilities_told_unasked_are_not_asked_for_again(dovecot, user):
    transcript = Transcript(None)
    with session_of(dovecot, user, transcript) as session:
        assert {"QRESYNC", "LIST-STATUS", "MOVE"} <= session.capabilities
    said = [line for line in str(transcript).splitlines() if line.startswith("C: ")]
    assert [line.split()[2] for line in said] == ["LOGIN", "ID", "LOGOUT"]


def test_the_states_of_all_folders_come_with_their_list(dovecot, user):
    with session_of(dovecot, user) as session:
        deliver(session, 1, 2)
        states = {entry.name: entry.state for entry in session.folders(with_states=True)}
        assert states["INBOX"] == session.status(b"INBOX")
        assert (states["INBOX"].exists, states["INBOX"].uidnext) == (2, 3)
        assert states["Sent"].exists == 0
        without(session, "LIST-STATUS")
        assert {entry.state for entry in session.folders(with_states=True)} == {None}


def test_what_left_and_what_changed_is_heard_while_opening(dovecot, user):
    with session_of(dovecot, user) as session, session_of(dovecot, user) as other:
        deliver(session, 1, 2, 3, 4, 5)
        known = session.examine(b"INBOX")
        assert (session.resync(b"INBOX", known).vanished, session.resync(b"INBOX", known).flags) == (UidSet(), {})
        folder = other.select(b"INBOX")
        folder.change_flags(UidSet([2, 4]), add=[r"\Deleted"])
        folder.expunge(UidSet([2, 4]))
        folder.change_flags(UidSet([5]), add=[r"\Seen"])
        deliver(other, 6)
        opened = session.resync(b"INBOX", known)
        assert opened.vanished & UidSet([range(1, known.uidnext)]) == UidSet([2, 4])
        assert opened.flags[5] == {r"\Seen"}
        assert opened.state.exists == 4
        without(session, "QRESYNC")
        plain = session.resync(b"INBOX", known)
        assert (plain.state, plain.vanished, plain.flags) == (opened.state, UidSet(), {})


def test_a_change_of_flags_gives_way_to_one_made_meanwhile(dovecot, user):
    with session_of(dovecot, user) as session, session_of(dovecot, user) as other:
        deliver(session, 1, 2, 3)
        ours, theirs = session.select(b"INBOX"), other.select(b"INBOX")
        modseq = ours.state.highestmodseq
        theirs.change_flags(UidSet([2]), add=[r"\Flagged"])
        left = ours.change_flags(UidSet([1, 2, 3]), add=[r"\Seen"], unchanged_since=modseq)
        assert left == UidSet([2])
        assert session.flags([1, 2, 3]) == {1: {r"\Seen"}, 2: {r"\Flagged"}, 3: {r"\Seen"}}
        assert ours.change_flags(UidSet([1]), remove=[r"\Seen"], add=["$Done"]) == UidSet()
        assert session.flags([1]) == {1: {"$Done"}}
        assert ours.change_flags(UidSet([999]), add=[r"\Seen"]) == UidSet()


def test_moves_and_copies_tell_the_new_numbers(dovecot, user):
    with session_of(dovecot, user) as session:
        deliver(session, 1, 2, 3, 4)
        deliver(session, 9, folder=b"Sent")
        folder = session.select(b"INBOX")
        moved = folder.move(UidSet([1, 3]), b"Sent")
        copied = folder.copy(UidSet([2]), b"Sent")
        assert moved.uids == {1: 2, 3: 3}
        assert copied.uids == {2: 4}
        assert session.existing_uids(1, 100) == UidSet([2, 4])
        assert folder.move(UidSet([77]), b"Sent") is None or folder.move(UidSet([77]), b"Sent").uids == {}
        assert session.status(b"Sent").uidvalidity == moved.uidvalidity == copied.uidvalidity


def test_only_the_messages_named_are_removed(dovecot, user):
    with session_of(dovecot, user) as session:
        deliver(session, 1, 2, 3)
        folder = session.select(b"INBOX")
        folder.change_flags(UidSet([1, 2]), add=[r"\Deleted"])
        folder.expunge(UidSet([2, 3]))
        assert session.existing_uids(1, 9) == UidSet([1, 3])


@pytest.mark.proves("R33")
def test_without_uidplus_nothing_is_removed_at_all(dovecot, user):
    transcript = Transcript(None)
    with session_of(dovecot, user, transcript) as session:
        deliver(session, 1)
        folder = session.select(b"INBOX")
        folder.change_flags(UidSet([1]), add=[r"\Deleted"])
        without(session, "UIDPLUS", "MOVE")
        with pytest.raises(NotOffered):
            folder.expunge(UidSet([1]))
        with pytest.raises(NotOffered):
            folder.move(UidSet([1]), b"Sent")
        assert session.existing_uids(1, 9) == UidSet([1])
    assert "EXPUNGE" not in str(transcript).replace("* 1 EXPUNGE", "")


def test_a_move_to_a_folder_that_is_not_there_is_refused(dovecot, user):
    with session_of(dovecot, user) as session:
        deliver(session, 1)
        folder = session.select(b"INBOX")
        with pytest.raises(Refused) as refusal:
            folder.move(UidSet([1]), b"Nowhere")
        assert "TRYCREATE" in refusal.value.reply
        with pytest.raises(UnsafeArgument):
            folder.change_flags(UidSet([1]), add=["two words"])
        assert session.existing_uids(1, 9) == UidSet([1])


@pytest.mark.proves("G5")
def test_a_folder_that_may_only_be_read_is_not_opened_for_changes():
    script = r"""
        S: * OK [CAPABILITY IMAP4rev1] ready
        C: LOGIN *
        S: {tag} OK [CAPABILITY IMAP4rev1] in
        C: SELECT "Shared"
        S: * 3 EXISTS
        S: * OK [UIDVALIDITY 7] numbers
        S: * OK [UIDNEXT 4] next
        S: {tag} OK [READ-ONLY] look only
        STALL
    """
    with scripted(script) as server, opened_on(server.port) as session, pytest.raises(Refused, match="only read"):
        session.select(b"Shared")


def test_namespaces_tell_whose_folders_they_are(dovecot, user):
    with session_of(dovecot, user) as session:
        assert session.namespaces() == Namespaces((("", "/"),))
    answer = r'* NAMESPACE (("" "/")) (("Other Users/" "/")) (("Shared &AOk-/" "/") ("#news." "."))'
    script = f"""
        S: * OK [CAPABILITY IMAP4rev1] ready
        C: LOGIN *
        S: {{tag}} OK [CAPABILITY IMAP4rev1 NAMESPACE] in
        C: NAMESPACE
        S: {answer}
        S: {{tag}} OK done
        STALL
    """
    with scripted(script) as server, opened_on(server.port) as session:
        namespaces = session.namespaces()
    assert namespaces.personal == (("", "/"),)
    foreign = [name for name in ("INBOX", "Other Users/bob", "Shared é/x", "#news.a") if is_foreign(namespaces, name)]
    assert foreign == ["Other Users/bob", "Shared é/x", "#news.a"]


def is_foreign(namespaces: Namespaces, name: str) -> bool:
    return namespaces.is_foreign(FolderEntry(name, name.encode(), "/", frozenset()))


def opened_on(port: int):
    dialer = Dialer(DialPolicy(endpoints=frozenset({("127.0.0.1", port)})))
    endpoint = Endpoint("127.0.0.1", port, Security.NONE, 1)
    return open_session(endpoint, Credentials("alice", Secret("secret")), dialer=dialer)
