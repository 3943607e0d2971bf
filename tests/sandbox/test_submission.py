"""The sandbox as SMTP clients see it."""

from __future__ import annotations

import email
import smtplib
import socket
import time
from base64 import b64encode

import pytest

from tests.sandbox.running import ALICE, BOB, CAROL, HELLO, SUPPORT, Running


def newest(sandbox: Running, address: str) -> bytes:
    with sandbox.imap(address, "INBOX") as client:
        uid = client.search()[-1]
        return bytes(client.fetch(uid, ["BODY.PEEK[]"])[uid][b"BODY[]"])


def inbox_size(sandbox: Running, address: str) -> int:
    with sandbox.imap(address) as client:
        return int(client.folder_status("INBOX", ["MESSAGES"])[b"MESSAGES"])


def speak(sandbox: Running, octets: bytes) -> bytes:
    """Sign in as Alice, send octets as they are, QUIT, and return everything that came back."""
    login = b64encode(f"\0{ALICE}\0{sandbox.password}".encode())
    with socket.create_connection(("127.0.0.1", sandbox.smtp_port), timeout=5) as line:
        line.sendall(b"EHLO me\r\nAUTH PLAIN " + login + b"\r\n" + octets + b"QUIT\r\n")
        answer = b""
        while received := line.recv(65536):
            answer += received
    return answer


def refusal(sandbox: Running, recipient: str, sender: str = ALICE) -> tuple[int, bytes]:
    with sandbox.smtp(ALICE) as client, pytest.raises(smtplib.SMTPException) as caught:
        client.sendmail(sender, [recipient], HELLO)
    error = caught.value
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return error.recipients[recipient]
    assert isinstance(error, smtplib.SMTPResponseException)
    return error.smtp_code, error.smtp_error


def test_mail_between_people_arrives_with_its_trace(sandbox: Running) -> None:
    sandbox.send(ALICE, BOB)
    raw = newest(sandbox, BOB)
    assert raw.endswith(HELLO)
    message = email.message_from_bytes(raw)
    assert message["Return-Path"] == f"<{ALICE}>"
    assert "by sandbox.test" in message["Received"]
    assert f"for <{BOB}>" in message["Received"]
    assert message["Date"]
    assert message["Message-ID"]


def test_several_recipients_get_one_copy_each_and_do_not_learn_of_each_other(sandbox: Running) -> None:
    before = [inbox_size(sandbox, address) for address in (BOB, CAROL)]
    sandbox.send(ALICE, BOB, "CAROL@Sandbox.Test", "bob+again@sandbox.test")
    assert [inbox_size(sandbox, address) for address in (BOB, CAROL)] == [count + 1 for count in before]
    assert b"carol" not in newest(sandbox, BOB).lower()


def test_dots_and_eight_bit_octets_survive(sandbox: Running) -> None:
    raw = b"Subject: dots\r\nDate: x\r\nMessage-ID: <x>\r\n\r\n.\r\n..\r\n.a\r\n\xc3\xa9 " + b"y" * 200_000 + b"\r\n"
    sandbox.send(ALICE, BOB, raw=raw)
    assert newest(sandbox, BOB).endswith(raw)


def test_an_empty_message_is_taken(sandbox: Running) -> None:
    said = speak(sandbox, f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<{CAROL}>\r\nDATA\r\n.\r\n".encode())
    assert b"250 2.0.0 Delivered" in said


def test_only_the_strict_end_of_data_ends_the_message(sandbox: Running) -> None:
    start = f"MAIL FROM:<{ALICE}>\r\nRCPT TO:<{CAROL}>\r\nDATA\r\nSubject: x\r\n\r\n".encode()
    before = inbox_size(sandbox, CAROL)
    for ending in (b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n", b"\r\n.\r"):
        said = speak(sandbox, start + b"a" + ending + b"MAIL FROM:<bob@sandbox.test>\r\n.\r\n")
        assert b"354" in said
        assert b"554 5.6.0" in said
        assert said.count(b"250 2.1.0") == 1  # the smuggled MAIL was text
    assert inbox_size(sandbox, CAROL) == before


@pytest.mark.parametrize(
    ("recipient", "code", "status"),
    [
        ("nobody@sandbox.test", 550, b"5.1.1"),
        ("dave@sandbox.test", 550, b"5.1.1"),
        ("full@sandbox.test", 552, b"5.2.2"),
        ("anna@example.org", 550, b"5.7.1 the sandbox delivers only to sandbox.test"),
    ],
)
def test_recipients_that_cannot_be_reached_are_refused(
    sandbox: Running, recipient: str, code: int, status: bytes
) -> None:
    said = refusal(sandbox, recipient)
    assert said[0] == code
    assert said[1].startswith(status)


def test_one_refused_recipient_does_not_keep_the_mail_from_the_others(sandbox: Running) -> None:
    before = inbox_size(sandbox, BOB)
    with sandbox.smtp(ALICE) as client:
        assert list(client.sendmail(ALICE, [BOB, "nobody@sandbox.test"], HELLO)) == ["nobody@sandbox.test"]
    assert inbox_size(sandbox, BOB) == before + 1


def test_later_defers_each_message_once(sandbox: Running) -> None:
    before = inbox_size(sandbox, SUPPORT)
    for _ in range(2):
        code, text = refusal(sandbox, "later@sandbox.test")
        assert (code, text[:5]) == (451, b"4.7.1")
        time.sleep(1.1)
        sandbox.send(ALICE, "later@sandbox.test")
    assert inbox_size(sandbox, SUPPORT) == before + 2


def test_one_sends_as_oneself_or_as_support(sandbox: Running) -> None:
    sandbox.send(ALICE, BOB)
    with sandbox.smtp(ALICE) as client:
        client.sendmail(SUPPORT, [BOB], HELLO)
        client.sendmail("", [BOB], HELLO)
    assert refusal(sandbox, CAROL, sender=BOB) == (
        553,
        f"5.7.1 You are signed in as {ALICE}: send from that address or from {SUPPORT}".encode(),
    )


def test_mail_needs_a_sign_in(sandbox: Running) -> None:
    with smtplib.SMTP("127.0.0.1", sandbox.smtp_port) as client:
        client.ehlo()
        assert client.mail(ALICE)[0] == 530
        with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
            client.login(ALICE, "wrong")
    assert caught.value.smtp_code == 535


def test_auth_login_and_its_cancelling_work(sandbox: Running) -> None:
    with smtplib.SMTP("127.0.0.1", sandbox.smtp_port) as client:
        client.ehlo()
        assert client.docmd("AUTH", "LOGIN")[0] == 334
        assert client.docmd("*") == (501, b"5.7.0 Cancelled")
        assert client.docmd("AUTH", "PLAIN !!!")[0] == 501
        client.user, client.password = ALICE, sandbox.password
        assert client.auth("LOGIN", client.auth_login)[0] == 235


def test_too_large_is_said_before_and_after_the_data(sandbox: Running) -> None:
    with sandbox.smtp(ALICE) as client:
        assert client.mail(ALICE, ["SIZE=99999999"])[0] == 552
        client.mail(ALICE)
        client.rcpt(BOB)
        assert client.data(b"x" * 26_300_000)[0] == 552
        assert client.noop()[0] == 250


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (b"DATA\r\n", b"503 5.5.1"),
        (b"RCPT TO:<bob@sandbox.test>\r\n", b"503 5.5.1"),
        (b"MAIL FROM:alice\r\n", b"501 5.1.7"),
        (b"MAIL FROM:<alice@sandbox.test> FOO=1\r\n", b"555 5.5.4"),
        (b"MAIL FROM:<alice@sandbox.test> SIZE=x\r\n", b"501 5.5.4"),
        ("MAIL FROM:<ålice@sandbox.test>\r\n".encode(), b"553 5.6.7"),
        (b"NOOP a\nb\r\n", b"500 5.5.2"),
        (b"NOOP " + b"x" * 100_000 + b"\r\n", b"500 5.5.1"),
        (b"\xff\xfe\r\n", b"500 5.5.2"),
        (b"STARTTLS\r\n", b"500 5.5.1"),
    ],
)
def test_nonsense_is_answered_and_the_connection_goes_on(sandbox: Running, command: bytes, code: bytes) -> None:
    said = speak(sandbox, command)
    assert b"\r\n" + code in said
    assert b"\r\n221 " in said
