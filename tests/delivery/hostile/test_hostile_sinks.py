"""The whole way of delivery against servers that refuse, lie, stall or break off, each a text file (faults R18, R19).

Whatever a server does: each recipient ends in the state that the script promises, with the server's words; once the
server is honest again what waits is sent; and over both nobody gets the message twice, and nobody who is said to have
it goes without (V4).
"""

from __future__ import annotations

import base64
import resource
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase

import pytest
from django.utils import timezone

from accounts.models import Mailbox
from delivery.models import LoginRefusal, OutboxMessage
from delivery.models.routes import Route
from delivery.states import State
from delivery.tasks import submit_message
from mailservers.rulebook import load_rules
from protocols.smtp import transfer
from tests.delivery.conftest import states
from tests.delivery.hostile.script import PEOPLE, Script, honest, read, scripts
from tests.servers.scripted import scripted

pytestmark = [pytest.mark.django_db, pytest.mark.once]

MOST_MEMORY = 60 * 1024  # KB that one script may add to the highest memory of the process
PASSWORD = "mailbox-password"

#: Codes of RFC 5321, 4.2.3, and RFC 4954, 6, in the phases in which they may come, and others that servers invent.
LATER = (421, 430, 432, 450, 451, 452, 454, 455, 471)
NEVER = (500, 501, 502, 503, 504, 521, 541, 550, 551, 552, 553, 554, 555, 556, 571)
PHASES = {
    "greeting": "GREETING\nS: {code} {words}\nCLOSE",
    "EHLO": "ON EHLO *\nS: {code} {words}\nON HELO *\nS: {code} {words}",
    "AUTH": "ON AUTH *\nS: {code} {words}",
    "MAIL": "ON MAIL *\nS: {code} {words}",
    "RCPT": "ON RCPT *\nS: {code} {words}",
    "DATA": "ON DATA\nS: {code} {words}",
    "after the dot": "ON DATA\nS: 354 go on\nMESSAGE\nS: {code} {words}",
}
WAY_OUT = ("greeting", "EHLO", "AUTH")  # nothing was said about the message, so no code is final for it


@pytest.fixture
def send(make_mailbox: Callable[..., Mailbox], make_message, alice, may_dial, monkeypatch: pytest.MonkeyPatch):
    """`send(port)`: hand a message to bob, carol and dave to whatever listens there; again: what is left of it."""
    load_rules()
    outgoing = Mailbox.outgoing
    mailbox = make_mailbox(
        "alice@example.org", alice, smtp_host="127.0.0.1", smtp_port=1, smtp_security="none", imap_host=""
    )
    message = make_message(mailbox, alice, *(f"{person}@example.org" for person in PEOPLE))

    def run(port: int, *, patience: float = 0.5) -> OutboxMessage:
        may_dial(port)
        monkeypatch.setattr(transfer, "FINAL_DOT_TIMEOUT", patience)
        monkeypatch.setattr(transfer, "DATA_TIMEOUT", patience)
        monkeypatch.setattr(Mailbox, "outgoing", lambda mailbox: replace(outgoing(mailbox), timeout=patience))
        Mailbox.objects.update(smtp_port=port, paused_at=None)
        Route.objects.update(held_until=None, held_for="", slowed=0)  # whatever was held back may go now
        LoginRefusal.objects.all().delete()
        message.recipients.filter(state=State.QUEUED).update(not_before=timezone.now())
        submit_message(message.pk)
        return message

    return run


def by_person(message: OutboxMessage) -> dict[str, str]:
    return {address.partition("@")[0]: state for address, state in states(message).items()}


def words(message: OutboxMessage) -> list[str]:
    """Everything that the rows keep of what was said and what we make of it."""
    recipients = message.recipients.values_list("last_reply", "note")
    return [text for row in recipients for text in row] + list(message.attempts.values_list("text", flat=True))


def assert_each_once(message: OutboxMessage, *servers: Script) -> None:
    """Who is said to have it has it once; who failed has it never; of the others nobody has it twice."""
    got = Counter(
        address.partition("@")[0] for server in servers for mail in server.taken for address in mail.recipients
    )
    for person, state in by_person(message).items():
        most, least = (1, 1) if state == State.SENT else (1, 0) if state == State.UNCERTAIN else (0, 0)
        assert least <= got[person] <= most, (person, state, got)


def assert_settled(message: OutboxMessage, server: Script, send: Callable[..., OutboxMessage]) -> None:
    """With an honest server what waits goes out, what has ended stays, and nobody gets it twice."""
    ended = by_person(message)
    good = honest()
    with scripted(good.play) as listener:
        send(listener.port, patience=20)
    later = {person: State.SENT if state == State.QUEUED else state for person, state in ended.items()}
    assert by_person(message) == later
    assert len(good.taken) == (State.QUEUED in ended.values())
    assert_each_once(message, server, good)


@pytest.mark.proves("R18", "R19", "V4", "T25")
@pytest.mark.parametrize("script", scripts(), ids=lambda script: script.name)
def test_whatever_a_server_does_each_recipient_has_an_outcome_and_none_has_the_mail_twice(script: Script, send):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with scripted(script.play) as server:
        message = send(server.port)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY
    [attempt] = message.attempts.all()
    assert by_person(message) == script.ends(), words(message)
    assert attempt.ended_at is not None
    promised = (int(script.promises.get("code", 0)), script.promises.get("enhanced", ""))
    assert (attempt.code, attempt.enhanced_code) == promised
    assert attempt.phase == script.promises.get("phase", attempt.phase)
    said = words(message)
    assert any(fnmatchcase(text.lower(), script.promises.get("says", "*").lower()) for text in said), said
    assert all(text.isprintable() and len(text) <= 4000 for text in said)
    assert not any(secret in text for text in said for secret in (PASSWORD, in_base64()))
    assert_each_once(message, script)
    assert_settled(message, script, send)


def in_base64() -> str:
    return base64.b64encode(f"\0alice@example.org\0{PASSWORD}".encode()).decode()


@pytest.mark.proves("R18", "V4")
@pytest.mark.parametrize("code", [*LATER, *NEVER])
@pytest.mark.parametrize("phase", PHASES)
def test_every_refusal_at_every_phase_waits_or_fails_as_its_code_says(phase: str, code: int, send):
    server = read("refusing", f"Refuses.\n\n{PHASES[phase].format(code=code, words=f'{code // 100}.9.9 no')}\n")
    with scripted(server.play) as listener:
        message = send(listener.port)
    waits = code in LATER or phase in WAY_OUT
    expected = State.QUEUED if waits else State.FAILED
    assert set(by_person(message).values()) == {expected}, words(message)
    [attempt] = message.attempts.all()
    assert (attempt.code, attempt.enhanced_code) == (code, f"{code // 100}.9.9")
    for row in message.recipients.all():
        assert row.last_reply == f"{code} {code // 100}.9.9 no"
        assert row.note
        if waits:
            assert timezone.now() < row.not_before < row.expires_at
    assert not server.taken
    assert_settled(message, server, send)


@pytest.mark.proves("R18")
@pytest.mark.parametrize("phase", PHASES)
def test_a_server_that_closes_with_421_anywhere_has_taken_nothing(phase: str, send):
    server = read("closing", f"Closes.\n\n{PHASES[phase].format(code=421, words='4.3.2 closing')}\nCLOSE\n")
    with scripted(server.play) as listener:
        message = send(listener.port)
    assert set(by_person(message).values()) == {State.QUEUED}
    assert_settled(message, server, send)


@pytest.mark.proves("R19")
def test_who_took_the_mail_and_who_lost_it_look_the_same_and_neither_gets_it_again(send):
    """From here nobody can tell, so both are shown alike."""
    took = next(script for script in scripts() if script.name == "taken_then_dropped")
    with scripted(took.play) as listener:
        message = send(listener.port)
    for _ in range(3):
        good = honest()
        with scripted(good.play) as listener:
            send(listener.port)
        assert good.connections == 0
    assert set(by_person(message).values()) == {State.UNCERTAIN}
    lost = next(script for script in scripts() if script.name == "dropped_then_forgotten")
    assert lost.promises == took.promises


def test_there_are_at_least_sixty_scripts_and_each_says_what_it_does():
    titles = [script.title for script in scripts()]
    assert len(set(titles)) == len(titles) >= 60
    assert all(title.endswith(".") for title in titles)


def test_the_honest_server_is_honest(send):
    good = honest()
    with scripted(good.play) as listener:
        message = send(listener.port)
    assert set(by_person(message).values()) == {State.SENT}
    [taken] = good.taken
    assert taken.recipients == [f"{person}@example.org" for person in PEOPLE]
    assert taken.raw == bytes(message.raw)
