"""Waiting for news (RFC 2177): the conversation as such, then on real and on hostile servers."""

from __future__ import annotations

import asyncio
import imaplib
import time

import pytest

from protocols.credentials import Credentials, Secret
from protocols.endpoint import Endpoint, Security
from protocols.errors import LoginRefused, MailError, ProtocolViolation, SecurityRefused, Unreachable
from protocols.imap.idle import LONGEST_LINE, Idling, News, Phase
from protocols.imap.idle_line import IdleLine, IdleNotOffered, open_line
from protocols.network import Dialer, DialPolicy
from tests.servers import certificates
from tests.servers.scripted import ScriptedServer, scripted

ALICE = Credentials("alice@example.org", Secret("canary-password"))
OPENED = r"""
    S: * OK ready
    C: CAPABILITY
    S: * CAPABILITY IMAP4rev1 IDLE
    S: {tag} OK done
    C: LOGIN *
    S: {tag} OK welcome
    C: CAPABILITY
    S: * CAPABILITY IMAP4rev1 IDLE
    S: {tag} OK done
    C: EXAMINE *
    S: * 3 EXISTS
    S: * OK [UIDVALIDITY 7] lasting
    S: * OK [UIDNEXT 4] next
    S: {tag} OK [READ-ONLY] open
"""


@pytest.fixture
def idling() -> Idling:
    """A conversation that waits, with three messages in the folder."""
    conversation = Idling(3)
    assert conversation.begin() == b"W1 IDLE\r\n"
    assert conversation.receive(b"+ idling\r\n") == (News.NOTHING, b"")
    assert conversation.phase is Phase.WAITING
    return conversation


@pytest.mark.parametrize(
    ("said", "news"),
    [
        (b"* 4 EXISTS\r\n", News.ARRIVAL),
        (b"* 4 exists\r\n* 1 RECENT\r\n", News.ARRIVAL),
        (b"* 3 EXISTS\r\n", News.NOTHING),
        (b"* 2 EXPUNGE\r\n", News.CHANGE),
        (b"* VANISHED 4:9\r\n", News.CHANGE),
        (b"* 1 FETCH (FLAGS (\\Seen))\r\n", News.CHANGE),
        (b"* 2 EXPUNGE\r\n* 3 EXISTS\r\n", News.CHANGE | News.ARRIVAL),
        (b"* OK Still here\r\n* 0 RECENT\r\n", News.NOTHING),
        (b"* FLAGS (\\Seen)\r\n* X-SOMETHING new\r\n", News.NOTHING),
    ],
)
@pytest.mark.proves("G3")
def test_what_counts_as_news(idling, said, news):
    assert idling.receive(said) == (news, b"")


def test_news_cut_anywhere_are_told_once(idling):
    said = b"* OK Still here\r\n* 4 EXISTS\r\n* 1 RECENT\r\n"
    heard = [idling.receive(said[at : at + 1])[0] for at in range(len(said))]
    assert heard.count(News.ARRIVAL) == 1
    assert set(heard) == {News.ARRIVAL, News.NOTHING}


def test_a_literal_in_a_fetch_response_is_passed_over(idling):
    literal = b"* 9 EXISTS\r\n* BYE no\r\n"
    said = b"* 1 FETCH (BODY[] {%d}\r\n%s FLAGS (\\Seen))\r\n* 4 EXISTS\r\n" % (len(literal), literal)
    news = [idling.receive(octets)[0] for octets in (said[:30], said[30:50], said[50:])]
    assert news == [News.CHANGE, News.NOTHING, News.ARRIVAL]
    assert idling.exists == 4


@pytest.mark.proves("R7")
def test_renewing_asks_for_lost_notices_before_it_waits_again(idling):
    assert idling.renew() == b"DONE\r\n"
    assert idling.receive(b"W1 OK done\r\n") == (News.NOTHING, b"W2 NOOP\r\n")
    assert idling.receive(b"* 4 EXISTS\r\nW2 OK done\r\n") == (News.ARRIVAL, b"W3 IDLE\r\n")
    assert idling.is_owed
    assert idling.receive(b"+ \r\n") == (News.NOTHING, b"")
    assert not idling.is_owed


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        (b"* BYE Autologout; idle for too long\r\n", Unreachable, "Autologout; idle for too long"),
        (b"W1 NO not now\r\n", Unreachable, "NO not now"),
        (b"W1 OK done already\r\n", Unreachable, "OK done already"),
        (b"HTTP/1.1 400 Bad Request\r\n", ProtocolViolation, "HTTP/1.1 400 Bad Request"),
        (b"*" * (LONGEST_LINE + 1), ProtocolViolation, ""),
    ],
)
def test_what_ends_the_waiting_keeps_the_servers_words(idling, said, error, words):
    with pytest.raises(error) as caught:
        idling.receive(said)
    assert caught.value.reply == words


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.news: list[News] = []
        self.reasons: list[MailError] = []
        self.happened = asyncio.Event()

    def heard(self, line: IdleLine, news: News) -> None:
        self.news.append(news)
        self.happened.set()

    def ended(self, line: IdleLine, reason: MailError) -> None:
        self.reasons.append(reason)
        self.happened.set()

    async def next(self) -> None:
        async with asyncio.timeout(10):
            await self.happened.wait()
        self.happened.clear()


def listening(line: IdleLine, *, renew_after: float = 600, response_timeout: float = 10) -> Heard:
    listener = Heard()
    line.listen(listener, renew_after=lambda: renew_after, response_timeout=response_timeout)
    return listener


def line_to(server: ScriptedServer, *, security: Security = Security.NONE) -> IdleLine:
    dialer = Dialer(
        DialPolicy(endpoints=frozenset({("127.0.0.1", server.port)}), names={certificates.NAME: "127.0.0.1"})
    )
    endpoint = Endpoint(certificates.NAME, server.port, security, 5)
    return open_line(endpoint, ALICE, dialer=dialer, trust=certificates.trust())


@pytest.mark.parametrize("security", list(Security))
@pytest.mark.proves("G3", "J3")
def test_new_mail_is_heard_at_once_on_every_kind_of_line(dovecot, security):
    user = dovecot.new_user()

    async def scenario() -> Heard:
        line = open_line(dovecot.endpoint(security), user, dialer=dovecot.dialer, trust=dovecot.trust)
        listener = listening(line)
        await asyncio.sleep(0.2)
        await asyncio.to_thread(deliver, dovecot.plain_port, user)
        await listener.next()
        line.leave()
        return listener

    assert asyncio.run(scenario()).news == [News.ARRIVAL]


@pytest.mark.proves("R7")
def test_a_line_that_is_renewed_goes_on_hearing(dovecot):
    user = dovecot.new_user()

    async def scenario() -> Heard:
        line = open_line(dovecot.endpoint(), user, dialer=dovecot.dialer)
        listener = listening(line, renew_after=0.1)
        for _ in range(5):
            await asyncio.sleep(0.15)
            line.tick(asyncio.get_running_loop().time())
        await asyncio.to_thread(deliver, dovecot.plain_port, user)
        await asyncio.sleep(0.15)
        line.tick(asyncio.get_running_loop().time())
        await listener.next()
        line.leave()
        return listener

    heard = asyncio.run(scenario())
    assert (heard.news, heard.reasons) == ([News.ARRIVAL], [])


def deliver(port: int, user: Credentials) -> None:
    with imaplib.IMAP4("127.0.0.1", port) as client:
        client.login(user.username, user.password.reveal())
        client.append("INBOX", "", imaplib.Time2Internaldate(time.time()), b"Subject: Hello\r\n\r\nThere.\r\n")


def test_news_that_came_with_the_answer_to_examine_are_not_lost():
    script = OPENED.replace("[READ-ONLY] open", r"[READ-ONLY] open\r\n* 4 EXISTS")
    script += "C: IDLE\nS: + idling\nC: DONE\nC: *LOGOUT"

    async def scenario() -> Heard:
        line = line_to(server)
        listener = listening(line)
        await listener.next()
        line.leave()
        return listener

    with scripted(script) as server:
        assert asyncio.run(scenario()).news == [News.ARRIVAL]
    assert server.lines[-1].endswith(b"LOGOUT")


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ("C: IDLE\nS: + idling\nS: * BYE shutting down", "shutting down"),
        ("C: IDLE\nS: + idling\nCLOSE", "connection closed"),
        ("C: IDLE\nS: {tag} BAD what", "BAD what"),
        ("C: IDLE\nS: SSH-2.0 hello", "SSH-2.0 hello"),
    ],
)
@pytest.mark.proves("R7")
def test_a_line_that_ends_says_why_once(ending, words):
    async def scenario() -> Heard:
        listener = listening(line_to(server))
        await listener.next()
        await asyncio.sleep(0.05)
        return listener

    with scripted(OPENED + ending) as server:
        assert [reason.reply for reason in asyncio.run(scenario()).reasons] == [words]


@pytest.mark.parametrize("ending", ["C: IDLE\nSTALL", "C: IDLE\nS: + idling\nC: DONE\nSTALL"])
@pytest.mark.proves("R7")
def test_a_server_that_owes_an_answer_is_given_up_and_one_that_waits_is_not(ending):
    async def scenario() -> Heard:
        line = line_to(server)
        listener = listening(line, renew_after=0.3, response_timeout=0.5)
        clock = asyncio.get_running_loop().time
        for _ in range(40):
            await asyncio.sleep(0.05)
            line.tick(clock())
        return listener

    with scripted(OPENED + ending) as server:
        [reason] = asyncio.run(scenario()).reasons
    assert reason.reply == "timed out"


def test_without_idle_the_line_is_given_back_politely():
    script = OPENED.replace(" IDLE", "").partition("C: EXAMINE")[0] + "C: LOGOUT\nS: {tag} OK bye"
    with scripted(script) as server, pytest.raises(IdleNotOffered):
        line_to(server)
    assert server.lines[-1].endswith(b"LOGOUT")


def test_a_refused_login_is_told_as_such_and_the_password_goes_nowhere_else():
    script = OPENED.partition("S: {tag} OK welcome")[0] + "S: {tag} NO [AUTHENTICATIONFAILED] wrong\nC: LOGOUT"
    with scripted(script) as server, pytest.raises(LoginRefused) as caught:
        line_to(server)
    assert "canary-password" not in repr(caught.value) + caught.value.reply


@pytest.mark.proves("J3")
def test_starttls_is_demanded_before_anything_is_said():
    script = "S: * OK ready\nC: CAPABILITY\nS: * CAPABILITY IMAP4rev1 IDLE\nS: {tag} OK done\nSTALL"
    with scripted(script) as server, pytest.raises(SecurityRefused):
        line_to(server, security=Security.STARTTLS)
    assert b"canary-password" not in server.plaintext
