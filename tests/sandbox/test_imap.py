"""The sandbox as IMAP clients see it."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError, LoginError

from sandbox.people import PEOPLE
from tests.sandbox.running import ALICE, BOB, CAROL, HELLO, SUPPORT, Running, running

NESTED = (
    b"Subject: Nested\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\npreamble\r\n"
    b"--a\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nfirst\r\n"
    b"--a\r\nContent-Type: message/rfc822\r\n\r\nSubject: Inner\r\n\r\ninner text\r\n"
    b"--a\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n--b--\r\n"
    b"--a--\r\nepilogue\r\n"
)


def in_new_folder(client: IMAPClient, name: str, *raws: bytes) -> list[int]:
    """Make and select a folder with these messages; return their UIDs."""
    client.create_folder(name)
    for raw in raws:
        client.append(name, raw)
    client.select_folder(name)
    return list(client.search())


def speak(sandbox: Running, *commands: bytes) -> bytes:
    """Send octets as they are, one command after the other, and return everything that came back."""
    with socket.create_connection(("127.0.0.1", sandbox.imap_port), timeout=5) as line:
        line.sendall(b"".join(commands) + b"z LOGOUT\r\n")
        answer = b""
        while received := line.recv(65536):
            answer += received
    return answer


def signed_in(sandbox: Running) -> bytes:
    return f"a LOGIN {ALICE} {sandbox.password}\r\n".encode()


@pytest.mark.parametrize(("address", "password"), [(ALICE, "wrong"), ("dave@sandbox.test", None), ("alice", None)])
def test_a_wrong_sign_in_is_refused_by_code(sandbox: Running, address: str, password: str | None) -> None:
    with (
        IMAPClient("127.0.0.1", sandbox.imap_port, ssl=False) as client,
        pytest.raises(LoginError, match="AUTHENTICATIONFAILED"),
    ):
        client.login(address, password or sandbox.password)


def test_authenticate_plain_works_with_and_without_the_initial_response(sandbox: Running) -> None:
    with IMAPClient("127.0.0.1", sandbox.imap_port, ssl=False) as client:
        client.plain_login(ALICE, sandbox.password)
        assert client.list_folders()
    assert b"a BAD Cancelled" in speak(sandbox, b"a AUTHENTICATE PLAIN\r\n*\r\n")


def test_nothing_can_be_read_before_signing_in(sandbox: Running) -> None:
    assert b"a BAD Sign in first" in speak(sandbox, b'a LIST "" "*"\r\n')


def test_folders_are_listed_with_their_special_uses(sandbox: Running) -> None:
    with sandbox.imap(CAROL) as client:
        folders = {name: set(flags) for flags, _, name in client.list_folders()}
        assert folders["Spam"] >= {b"\\Junk"}
        for name in ("Sent", "Drafts", "Trash", "Archive"):
            assert f"\\{name}".encode() in folders[name]
        assert b"\\HasChildren" in folders["Projects"]
        assert "Zamówienia" in folders
        assert "INBOX" in {name for *_, name in client.list_sub_folders()}
        assert [name for *_, name in client.list_folders("", "Projects/%")] == ["Projects/2026"]
        assert client.namespace().personal == (("", "/"),)


def test_examine_and_peek_leave_the_message_unseen(sandbox: Running) -> None:
    with sandbox.imap(ALICE) as client:
        before = client.folder_status("INBOX", ["UNSEEN"])
        client.select_folder("INBOX", readonly=True)
        unseen = client.search("UNSEEN")
        client.fetch(unseen, ["BODY[]"])
        client.select_folder("INBOX")
        client.fetch(unseen, ["BODY.PEEK[]"])
        assert client.search("UNSEEN") == unseen
        assert client.folder_status("INBOX", ["UNSEEN"]) == before
        client.select_folder("INBOX", readonly=True)
        with pytest.raises(IMAPClientError, match="reading only"):
            client.add_flags(unseen, ["\\Seen"])


def test_reading_the_body_marks_the_message_read(sandbox: Running) -> None:
    with sandbox.imap(ALICE) as client:
        [uid] = in_new_folder(client, "Read", HELLO)
        assert b"\\Seen" in client.fetch(uid, ["BODY[]"])[uid][b"FLAGS"]
        assert client.search("SEEN") == [uid]


def test_octets_come_back_as_they_were_stored(sandbox: Running) -> None:
    every_octet = bytes(octet for octet in range(1, 256) if octet not in b"\r\n")  # the client maps lone CR and LF
    raw = HELLO + every_octet * 4000
    with sandbox.imap(ALICE) as client:
        [uid] = in_new_folder(client, "Octets", raw)
        answer = client.fetch(uid, ["BODY.PEEK[]", "RFC822.SIZE", "BODY.PEEK[]<100.50>"])[uid]
    assert answer[b"BODY[]"] == raw
    assert answer[b"RFC822.SIZE"] == len(raw)
    assert answer[b"BODY[]<100>"] == raw[100:150]


def test_sections_are_cut_out_exactly(sandbox: Running) -> None:
    wanted = {
        "1": b"first",
        "1.MIME": b"Content-Type: text/plain; charset=utf-8\r\n\r\n",
        "2": b"Subject: Inner\r\n\r\ninner text",
        "2.HEADER": b"Subject: Inner\r\n\r\n",
        "2.TEXT": b"inner text",
        "2.1": b"inner text",
        "3.1": b"plain",
        "3.2": b"<p>",
        "HEADER": NESTED[: NESTED.index(b"preamble")],
        "TEXT": NESTED[NESTED.index(b"preamble") :],
        "HEADER.FIELDS (SUBJECT)": b"Subject: Nested\r\n\r\n",
        "4": None,
    }
    with sandbox.imap(ALICE) as client:
        [uid] = in_new_folder(client, "Sections", NESTED)
        answer = client.fetch(uid, [f"BODY.PEEK[{section}]" for section in wanted])[uid]
    assert {section: answer[f"BODY[{section}]".encode()] for section in wanted} == wanted


def test_the_structure_names_every_part(sandbox: Running) -> None:
    with sandbox.imap(ALICE) as client:
        [uid] = in_new_folder(client, "Structure", NESTED)
        structure = client.fetch(uid, ["BODYSTRUCTURE"])[uid][b"BODYSTRUCTURE"]
    assert structure.is_multipart
    text, message, alternative = structure[0]
    assert text[:3] == (b"TEXT", b"PLAIN", (b"CHARSET", b"utf-8"))
    assert message[:2] == (b"MESSAGE", b"RFC822")
    assert message[7][1] == b"Inner"
    assert [part[1] for part in alternative[0]] == [b"PLAIN", b"HTML"]


def test_every_seeded_message_has_an_envelope_and_a_structure(state: Path) -> None:
    with running(state) as server:
        for person in PEOPLE:
            with server.imap(person.address) as client:
                for *_, name in client.list_folders():
                    client.select_folder(name, readonly=True)
                    uids = client.search()
                    items = ["ENVELOPE", "BODYSTRUCTURE", "RFC822.SIZE", "BODY.PEEK[]"]
                    answers = client.fetch(uids, items) if uids else {}
                    assert list(answers) == uids
                    for answer in answers.values():
                        assert answer[b"ENVELOPE"].message_id
                        assert answer[b"BODYSTRUCTURE"]
                        assert answer[b"RFC822.SIZE"] == len(answer[b"BODY[]"])


def test_the_envelope_reads_groups_comments_and_quoted_names(sandbox: Running) -> None:
    raw = (
        b'From: "Doe, \\"J\\"" <j@x.example>\r\nTo: Team: a@x.example, B <b@x.example>;, c@x.example (Cee)\r\n'
        b"Subject: =?utf-8?q?caf=C3=A9?=\r\nMessage-ID: <1@x.example>\r\n\r\n"
    )
    with sandbox.imap(ALICE) as client:
        [uid] = in_new_folder(client, "Envelope", raw)
        envelope = client.fetch(uid, ["ENVELOPE"])[uid][b"ENVELOPE"]
    assert envelope.from_[0].name == b'Doe, "J"'
    assert envelope.sender == envelope.from_
    assert [address.mailbox for address in envelope.to] == [b"Team", b"a", b"b", None, b"c"]
    assert envelope.to[4].name == b"Cee"
    assert envelope.message_id == b"<1@x.example>"


def test_searching_finds_what_it_should(sandbox: Running) -> None:
    header = b"From: Z <z@x.example>\r\nSubject: =?utf-8?b?R3LDvMOfZQ==?=\r\nMessage-ID: <k@x.example>\r\n"
    other = header + "\r\nÄpfel\r\n".encode()
    with sandbox.imap(ALICE) as client:
        hello, greeting = in_new_folder(client, "Search", HELLO, other)
        client.add_flags(greeting, ["\\Flagged", "$Work"])
        assert client.search(["HEADER", "Message-ID", "<k@x.example>"]) == [greeting]
        assert client.search(["SUBJECT", "grüße"], charset="UTF-8") == [greeting]
        assert client.search(["BODY", "äpfel"], charset="UTF-8") == [greeting]
        assert client.search(["TEXT", "good morning"]) == [hello]
        assert client.search(["OR", "FROM", "alice", "FLAGGED"]) == [hello, greeting]
        assert client.search(["NOT", "KEYWORD", "$work"]) == [hello]
        assert client.search(["UID", f"{greeting}:*"]) == [greeting]
        assert client.search(["SINCE", datetime.now(UTC).date(), "SMALLER", 10_000]) == [hello, greeting]
        assert client.search(["BEFORE", datetime(2020, 1, 1, tzinfo=UTC).date()]) == []
        with pytest.raises(IMAPClientError, match="BADCHARSET"):
            client.search(["SUBJECT", "x"], charset="KOI8-R")


def test_extended_search_answers_in_one_line(sandbox: Running) -> None:
    answer = speak(sandbox, signed_in(sandbox), b"b EXAMINE Sent\r\nc UID SEARCH RETURN (MIN MAX COUNT ALL) 1:3\r\n")
    assert b'* ESEARCH (TAG "c") UID MIN 1 MAX 3 COUNT 3 ALL 1:3\r\n' in answer


def test_flags_are_added_removed_and_replaced(sandbox: Running) -> None:
    with sandbox.imap(ALICE) as client:
        [uid] = in_new_folder(client, "Flags", HELLO)
        client.add_flags(uid, ["\\flagged", "Mine"])
        assert set(client.get_flags(uid)[uid]) - {b"\\Recent"} == {b"\\Flagged", b"Mine"}
        client.remove_flags(uid, ["mine"])
        client.set_flags(uid, ["\\Answered"])
        assert set(client.get_flags(uid)[uid]) - {b"\\Recent"} == {b"\\Answered"}


def test_copying_and_moving_keep_octets_flags_and_date(sandbox: Running) -> None:
    then = datetime(2025, 3, 4, 5, 6, 7, tzinfo=UTC)
    with sandbox.imap(ALICE) as client:
        client.create_folder("To/Here")
        client.create_folder("From")
        client.append("From", HELLO, ["\\Seen"], then)
        client.select_folder("From")
        client.copy(client.search(), "To/Here")
        client.move(client.search(), "To/Here")
        assert client.search() == []
        client.select_folder("To/Here")
        fetched = client.fetch(client.search(), ["BODY.PEEK[]", "FLAGS", "INTERNALDATE"])
        with pytest.raises(IMAPClientError, match="TRYCREATE"):
            client.copy(client.search(), "Nowhere")
    assert len(fetched) == 2
    for answer in fetched.values():
        assert answer[b"BODY[]"] == HELLO
        assert b"\\Seen" in answer[b"FLAGS"]
        assert answer[b"INTERNALDATE"].timestamp() == then.timestamp()


def test_expunging_by_uid_takes_only_those(sandbox: Running) -> None:
    with sandbox.imap(ALICE) as client:
        first, second, third = in_new_folder(client, "Expunge", HELLO, HELLO, HELLO)
        client.delete_messages([first, second])
        client.uid_expunge([first, third])
        assert client.search() == [second, third]
        client.expunge()
        assert client.search() == [third]


def test_a_folder_made_again_gets_a_new_uidvalidity(sandbox: Running) -> None:
    with sandbox.imap(ALICE) as client:
        client.create_folder("Twice")
        first = client.folder_status("Twice", ["UIDVALIDITY"])
        client.delete_folder("Twice")
        client.create_folder("Twice")
        assert client.folder_status("Twice", ["UIDVALIDITY"]) != first


def test_renaming_keeps_uids_and_takes_the_folders_below_along(sandbox: Running) -> None:
    with sandbox.imap(ALICE) as client:
        client.create_folder("Old/Below & żółw")
        client.append("Old/Below & żółw", HELLO)
        before = client.folder_status("Old/Below & żółw", ["UIDVALIDITY", "UIDNEXT", "MESSAGES"])
        client.rename_folder("Old", "New")
        assert client.folder_status("New/Below & żółw", ["UIDVALIDITY", "UIDNEXT", "MESSAGES"]) == before
        assert not client.folder_exists("Old")
        with pytest.raises(IMAPClientError, match="ALREADYEXISTS"):
            client.rename_folder("New", "Sent")


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"b DELETE INBOX\r\n", b"b NO [CANNOT]"),
        (b"b DELETE Projects\r\n", b"b NO [CANNOT]"),
        (b"b CREATE INBOX\r\n", b"b NO [ALREADYEXISTS]"),
        (b"b SELECT Missing\r\n", b"b NO [NONEXISTENT]"),
        (b'b CREATE "a//b"\r\n', b"b NO [CANNOT]"),
        (b'b LIST "" "*a*a*a*a*a*a*a*a*a*"\r\n', b"b NO [LIMIT]"),
        (b"b SELECT &&-\r\n", b"b "),
        (b"b FETCH 1 FLAGS\r\n", b"b BAD Select a folder first"),
        (b"b NONSENSE\r\n", b"b BAD"),
        (b"b APPEND INBOX {99999999}\r\n", b"b NO [TOOBIG]"),
        (b"\r\n", b"* BAD"),
    ],
)
def test_what_cannot_be_done_is_refused_and_the_connection_goes_on(
    sandbox: Running, command: bytes, answer: bytes
) -> None:
    said = speak(sandbox, signed_in(sandbox), command)
    assert b"\r\n" + answer in said
    assert b"z OK" in said


def test_a_message_number_beyond_the_end_is_an_error_but_a_uid_is_not(sandbox: Running) -> None:
    said = speak(
        sandbox,
        signed_in(sandbox),
        b"b EXAMINE Drafts\r\nc FETCH 9 FLAGS\r\nd UID FETCH 999 FLAGS\r\ne FETCH 1:* UID\r\n",
    )
    assert b"c BAD There is no message 9" in said
    assert b"d OK" in said
    assert b"e OK" in said


def test_idle_announces_new_mail_at_once(sandbox: Running) -> None:
    with sandbox.imap(SUPPORT, "INBOX") as client:
        client.idle()
        sandbox.send(ALICE, SUPPORT)
        start = time.monotonic()
        announced = client.idle_check(timeout=20)
        took = time.monotonic() - start
        client.idle_done()
    assert any(kind == b"EXISTS" for _, kind in announced)
    assert took < 10  # alone on the machine: 0.01; without an announcement it would be 20


def test_idle_announces_what_another_session_flags_and_expunges(sandbox: Running) -> None:
    with sandbox.imap(BOB) as watching, sandbox.imap(BOB) as acting:
        first, second = in_new_folder(acting, "Watched", HELLO, HELLO)
        watching.select_folder("Watched")
        watching.idle()
        acting.add_flags(second, ["\\Flagged"])
        flagged = watching.idle_check(timeout=20)
        acting.delete_messages([first])
        acting.expunge()
        gone = watching.idle_check(timeout=20)
        if (1, b"EXPUNGE") not in gone:  # the flag \Deleted came by itself
            gone = watching.idle_check(timeout=20)
        watching.idle_done()
        assert (2, b"FETCH") in [answer[:2] for answer in flagged]
        assert (1, b"EXPUNGE") in gone
        assert watching.search() == [second]


def test_message_numbers_stay_while_fetching_and_shift_at_noop(sandbox: Running) -> None:
    with sandbox.imap(BOB) as watching, sandbox.imap(BOB) as acting:
        first, second = in_new_folder(acting, "Numbers", HELLO, HELLO)
        watching.select_folder("Numbers")
        acting.delete_messages([first])
        acting.expunge()
        watching.use_uid = False
        assert list(watching.fetch([2], ["UID"])) == [2]  # still number 2: the EXPUNGE was not told
        watching.noop()
        assert watching.fetch([1], ["UID"])[1][b"UID"] == second


def test_a_deleted_folder_ends_the_sessions_that_have_it_open(sandbox: Running) -> None:
    with sandbox.imap(BOB) as watching, sandbox.imap(BOB) as acting:
        acting.create_folder("Doomed")
        watching.select_folder("Doomed")
        watching.idle()
        acting.delete_folder("Doomed")
        [farewell] = watching.idle_check(timeout=20)
        assert b" ".join(farewell) == b"BYE The selected folder was deleted."
        watching.shutdown()


def test_a_thousand_messages_are_fetched_in_a_moment(sandbox: Running) -> None:
    with sandbox.imap(CAROL) as client:
        in_new_folder(client, "Many", HELLO)
        for _ in range(10):
            client.copy(client.search(), "Many")
            client.noop()
        uids = client.search()
        start = time.monotonic()
        assert len(client.fetch(uids, ["BODY.PEEK[]", "ENVELOPE"])) == 1024
    assert time.monotonic() - start < 10  # alone on the machine: 0.5


def test_a_literal_without_waiting_is_taken(sandbox: Running) -> None:
    said = speak(sandbox, signed_in(sandbox), b"b CREATE {5+}\r\nPlus!\r\nc STATUS {5+}\r\nPlus! (MESSAGES)\r\n")
    assert b'* STATUS "Plus!" (MESSAGES 0)' in said


def test_before_signing_in_only_little_is_taken(sandbox: Running) -> None:
    assert b"* BYE" in speak(sandbox, b"a LOGIN {9000+}\r\n")
