"""Which messages a program may answer by itself (RFC 3834): one per way in which a loop or an annoyance begins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.message.loops import MOST_HOPS, Objection, objection_to_answering, senders_of

OWN = {"desk@example.org"}
MARK = "ours@example.org signature"

#: What arrives, and why no program answers it. Each is a whole header section.
FIXTURES: dict[str, tuple[str, Objection]] = {
    "auto-replied": ("From: bob@x.example\nAuto-Submitted: auto-replied", Objection.AUTOMATIC),
    "auto-generated, with a comment": (
        "From: bob@x.example\nAuto-Submitted: auto-generated; type=cron",
        Objection.AUTOMATIC,
    ),
    "auto-notified": ("From: bob@x.example\nAuto-Submitted: auto-notified", Objection.AUTOMATIC),
    "a word after Auto-Submitted that nobody knows": (
        "From: bob@x.example\nAuto-Submitted: yes",
        Objection.AUTOMATIC,
    ),
    "an autoresponder from before RFC 3834": ("From: bob@x.example\nX-Autoreply: yes", Objection.AUTOMATIC),
    "an out-of-office of Exchange": (
        "From: bob@x.example\nSubject: Automatic reply: Offer\nIn-Reply-To: <offer@example.org>",
        Objection.AUTOMATIC,
    ),
    "Precedence: auto_reply": ("From: bob@x.example\nPrecedence: auto_reply", Objection.AUTOMATIC),
    "a list by its List-Id": ("From: bob@x.example\nList-Id: <talk.x.example>", Objection.LIST),
    "a list by its List-Post": ("From: bob@x.example\nList-Post: <mailto:talk@x.example>", Objection.LIST),
    "a newsletter by List-Unsubscribe": (
        "From: bob@x.example\nList-Unsubscribe: <https://x.example/off>",
        Objection.LIST,
    ),
    "Precedence: bulk": ("From: bob@x.example\nPrecedence: bulk", Objection.BULK),
    "Precedence: list": ("From: bob@x.example\nPrecedence: List", Objection.BULK),
    "Precedence: junk": ("From: bob@x.example\nPrecedence: junk", Objection.BULK),
    "the null reverse-path": ("Return-Path: <>\nFrom: bob@x.example", Objection.BOUNCE),
    "a delivery report": (
        "From: bob@x.example\nContent-Type: multipart/report; report-type=delivery-status; boundary=b",
        Objection.BOUNCE,
    ),
    "a bounce of Exim": ("From: bob@x.example\nX-Failed-Recipients: carol@y.example", Objection.BOUNCE),
    "a mail server": ("From: MAILER-DAEMON@x.example", Objection.PROGRAM),
    "no-reply": ("From: Shop <no-reply@x.example>", Objection.PROGRAM),
    "the keeper of a list": ("From: talk-request@x.example", Objection.PROGRAM),
    "X-Auto-Response-Suppress: All": ("From: bob@x.example\nX-Auto-Response-Suppress: All", Objection.UNWANTED),
    "X-Auto-Response-Suppress: OOF, AutoReply": (
        "From: bob@x.example\nX-Auto-Response-Suppress: OOF, AutoReply",
        Objection.UNWANTED,
    ),
    "a Message-ID of our domain": ("From: bob@x.example\nMessage-ID: <1@example.org>", Objection.OWN),
    "ourselves": ("From: Desk@Example.org", Objection.OWN),
    "our own mark, forwarded": (f"From: bob@x.example\nX-Emailsettings-Id: {MARK}", Objection.OWN),
    "our own address in X-Loop": ("From: bob@x.example\nX-Loop: desk@example.org", Objection.OWN),
    "too many servers": ("From: bob@x.example\n" + "Received: from a by b\n" * (MOST_HOPS + 1), Objection.HOPS),
    "no sender": ("Subject: Hello", Objection.NOBODY),
}

HARMLESS = {
    "a person": "From: Bob <bob@x.example>\nSubject: Hello\nMessage-ID: <1@x.example>",
    "a person whose server says so": "Return-Path: <bob@x.example>\nFrom: bob@x.example\nAuto-Submitted: no",
    "a person who writes of an absence": "From: bob@x.example\nSubject: Out of office on Friday?",
    "the mark of another installation": "From: bob@x.example\nX-Emailsettings-Id: theirs@x.example signature",
    "a usual way": "From: bob@x.example\n" + "Received: from a by b\n" * 12,
    "no wish about automatic answers": "From: bob@x.example\nX-Auto-Response-Suppress: None",
}


def objection(head: str) -> Objection | None:
    raw = f"{head.strip()}\nTo: desk@example.org\n\nHello\n".encode()
    return objection_to_answering(raw, own=OWN, knows_mark=lambda value: value == MARK)


@pytest.mark.proves("T24", "I8")
@pytest.mark.parametrize("name", FIXTURES)
def test_no_program_answers(name: str):
    head, expected = FIXTURES[name]
    assert objection(head) == expected


@pytest.mark.proves("T24")
def test_there_are_at_least_24_of_them():
    assert len(FIXTURES) >= 24
    assert {expected for _, expected in FIXTURES.values()} == set(Objection)


@pytest.mark.parametrize("name", HARMLESS)
def test_a_person_is_answered(name: str):
    assert objection(HARMLESS[name]) is None


def test_an_answer_may_go_to_whoever_wrote():
    head = b"Return-Path: <b@x.example>\nFrom: Bob <Bob@x.example>\nReply-To: desk@x.example, c@x.example\nTo: z@y\n\n"
    assert senders_of(head) == {"b@x.example", "bob@x.example", "desk@x.example", "c@x.example"}


@given(st.binary(max_size=400))
def test_any_octets_are_decided_about(octets: bytes):
    objection_to_answering(octets, own=OWN, knows_mark=lambda _: False)
    senders_of(octets)
