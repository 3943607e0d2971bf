"""Fields of a reply, and what people quote."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from protocols.message.addresses import Address
from protocols.message.identity import (
    forward_subject,
    new_message_id,
    reply_headers,
    reply_recipients,
    reply_subject,
    shortened_references,
)
from protocols.message.parse import parse_summary
from protocols.message.quoting import preview, quote, reply_quotation, split_history
from tests.effort import grows_in_step

ANN, BOB, CARL = (Address(name, f"{name.lower()}@example.org") for name in ("Ann", "Bob", "Carl"))
PARENT = replace(parse_summary(b"Message-ID: <2@x>\nReferences: <0@x> <1@x>\n\n"), from_=ANN, to=(BOB,), cc=(CARL,))


def test_a_new_identifier_is_unique_and_tells_only_the_domain():
    first, second = new_message_id("bücher.example"), new_message_id("bücher.example")
    assert first != second
    assert re.fullmatch(r"[0-9a-f]{32}@xn--bcher-kva\.example", first)
    with pytest.raises(ValueError, match="is not a domain name"):
        new_message_id("exa mple\r\n")


def test_a_reply_refers_to_its_parent_and_to_the_chain_before():
    assert reply_headers(PARENT) == ("2@x", ("0@x", "1@x", "2@x"))


def test_without_references_the_chain_is_taken_from_in_reply_to():
    assert reply_headers(replace(PARENT, references=(), in_reply_to=("1@x",))) == ("2@x", ("1@x", "2@x"))
    assert reply_headers(replace(PARENT, references=(), in_reply_to=("0@x", "1@x"))) == ("2@x", ("2@x",))


def test_a_parent_without_identifier_leaves_only_the_chain():
    assert reply_headers(replace(PARENT, message_id="")) == ("", ("0@x", "1@x"))


def test_a_long_chain_keeps_the_first_and_the_newest():
    chain = tuple(f"{number}@x" for number in range(50))
    assert shortened_references(chain) == ("0@x", *chain[-19:])


@pytest.mark.parametrize(
    ("subject", "reply", "forward"),
    [
        ("Lunch", "Re: Lunch", "Fwd: Lunch"),
        ("Re: AW: RE[2]: Lunch", "Re: Lunch", "Fwd: Re: AW: RE[2]: Lunch"),
        ("Fwd: Lunch", "Re: Fwd: Lunch", "Fwd: Lunch"),
        ("[staff] Re: Lunch", "Re: [staff] Lunch", "Fwd: [staff] Re: Lunch"),
        ("Ref: 12345", "Re: Ref: 12345", "Fwd: Ref: 12345"),
        ("", "Re:", "Fwd:"),
    ],
)
def test_subjects_do_not_collect_prefixes(subject: str, reply: str, forward: str):
    assert (reply_subject(subject), forward_subject(subject)) == (reply, forward)


def test_a_reply_goes_to_the_sender_and_to_everyone_only_when_asked():
    assert reply_recipients(PARENT, ["bob@example.org"], everyone=False).to == (ANN,)
    everyone = reply_recipients(PARENT, ["BOB@example.org"], everyone=True)
    assert (everyone.to, everyone.cc) == ((ANN,), (CARL,))


def test_reply_to_is_respected():
    parent = replace(PARENT, reply_to=(CARL,))
    assert reply_recipients(parent, [], everyone=False).to == (CARL,)
    assert reply_recipients(parent, [], everyone=True).cc == (BOB,)


def test_a_reply_to_ones_own_message_goes_to_its_recipients():
    recipients = reply_recipients(PARENT, ["ann@example.org"], everyone=True)
    assert (recipients.to, recipients.cc) == ((BOB,), (CARL,))


def test_a_message_to_oneself_is_answered_to_oneself():
    parent = replace(PARENT, to=(ANN,), cc=())
    assert reply_recipients(parent, ["ann@example.org"], everyone=True).to == (ANN,)


def test_nobody_is_addressed_twice_or_without_an_address():
    parent = replace(PARENT, to=(ANN, BOB, Address("x", "BOB@EXAMPLE.ORG"), Address("Undisclosed", "")), cc=(BOB,))
    recipients = reply_recipients(parent, [], everyone=True)
    assert (recipients.to, recipients.cc) == ((ANN,), (BOB,))


def test_a_reply_quotes_who_wrote_what_and_when():
    quotation = reply_quotation("Hi\n\n> old\n", ANN, datetime(2024, 2, 5, 10, tzinfo=UTC))
    assert quotation == "On 5 February 2024 at 10:00, Ann wrote:\n> Hi\n>\n>> old\n"
    assert reply_quotation("Hi", None, None) == "the sender wrote:\n> Hi\n"
    assert quote("a\nb") == "> a\n> b"


BODIES = [
    ("Yes.\n\nOn Mon, 5 Feb 2024, Ann wrote:\n> Lunch?\n", "Yes."),
    ("Yes.\n\nOn Mon, 5 Feb 2024 at 10:00, Ann Long Name\n<ann@example.org> wrote:\n\n> Lunch?\n", "Yes."),
    ("Ja.\n\nAm 05.02.24 um 10:00 schrieb Ann:\n> Lunch?\n", "Ja."),
    ("Oui.\n\nLe 5 févr. 2024 à 10:00, Ann a écrit :\n> Lunch?\n", "Oui."),
    ("Sí.\n\nEl lun, 5 feb 2024, Ann escribió:\n> Lunch?\n", "Sí."),
    ("是。\n\n在 2024年2月5日，Ann 写道：\n> 午饭？\n", "是。"),
    ("Yes.\n\nOn Mon, Ann wrote:\nLunch?\n", "Yes."),
    ("Yes.\n\n-----Original Message-----\nFrom: Ann\nLunch?", "Yes."),
    ("Ja.\n\n-----Ursprüngliche Nachricht-----\nVon: Ann\nLunch?", "Ja."),
    ("Yes.\n\n________________________________\nFrom: Ann\nSent: Monday\nTo: Bob\nSubject: Lunch\n\nLunch?", "Yes."),
    ("Yes.\n\n*From:* Ann\n*Sent:* Monday\n*To:* Bob\n\nLunch?", "Yes."),
    ("Yes.\n\n> Lunch?\n> Today?\n> Ann\n", "Yes."),
    ("No history here.\n\nFrom: me to you\n", None),
    ("On Mon, Ann wrote:\n> Lunch?\nYes.\n> Today?\nNo.\n", None),
    ("> Lunch?\nYes.\n", None),
    ("As Ann wrote: this is fine\nBob", None),
    ("", None),
]


@pytest.mark.parametrize(("body", "written"), BODIES)
def test_the_trailing_history_is_split_off(body: str, written: str | None):
    split = split_history(body)
    assert split.written == (body if written is None else written)
    assert bool(split.history) == (written is not None)
    assert f"{split.written}\n{split.history}".split() == body.split()


@pytest.mark.parametrize(("body", "written"), [body for body in BODIES if body[1]])
def test_a_preview_leaves_the_history_out(body: str, written: str):
    assert preview(body) == written


def test_a_preview_skips_quotations_above_the_answer_and_the_signature():
    assert preview("On Mon, Ann wrote:\n> Lunch?\n\nYes, at one.\n-- \nBob\n") == "Yes, at one."


def test_a_preview_is_short_and_never_empty_for_a_mail_that_only_quotes():
    assert preview("> only\n> quoted") == "> only > quoted"
    assert len(preview("word " * 500)) <= 201


@pytest.mark.proves("T14")
@pytest.mark.parametrize(
    "unit",
    [
        *(
            ">",
            "> ",
            ">\n",
            " ",
            "\n",
            "-",
            "_",
            "*",
            "a:",
            "wrote:",
            "On wrote:\n",
            "On a\n",
            "From: a\n",
            "-- \n",
            ":\n",
        ),
        *("-----Original Message-----", "On x wrote:\n>\n", "=====\n", "from:from:", "le a écrit "),
    ],
)
def test_hostile_text_is_split_in_linear_time(unit: str):
    text = (unit * 100_000)[:100_000]
    assert grows_in_step(split_history, text)
    assert grows_in_step(preview, text)
