"""Messages we write: correct for every server, readable by every reader, and impossible to inject into."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from protocols.message.addresses import Address
from protocols.message.build import (
    Attachment,
    HeaderInjection,
    OutgoingMessage,
    UnwritableField,
    build_message,
    envelope_recipients,
)
from protocols.message.content import iter_parts, open_message
from protocols.message.parse import parse_summary

ANN = Address("Ann", "ann@example.org")
BOB = Address("Bob", "bob@example.org")
DRAFT = OutgoingMessage(
    from_=ANN,
    to=(BOB,),
    subject="Hello",
    text="Hello Bob\n",
    message_id="1@example.org",
    date=datetime(2024, 2, 5, 10, tzinfo=timezone(timedelta(hours=1))),
)


def test_a_short_message_is_written_as_one_would_by_hand():
    assert build_message(DRAFT) == (
        b"Date: Mon, 05 Feb 2024 10:00:00 +0100\r\n"
        b"From: Ann <ann@example.org>\r\n"
        b"To: Bob <bob@example.org>\r\n"
        b"Subject: Hello\r\n"
        b"Message-ID: <1@example.org>\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=us-ascii\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"Hello Bob\r\n"
    )


@pytest.mark.proves("T4")
def test_bcc_is_in_the_envelope_and_never_in_the_octets():
    draft = replace(DRAFT, bcc=(Address("Carl", "carl@example.org"),), cc=(BOB,))
    assert envelope_recipients(draft) == ("bob@example.org", "carl@example.org")
    assert b"carl" not in build_message(draft).lower()
    assert b"bcc" not in build_message(draft).lower()


LINE_ENDS = ("\r\n", "\n", "\r", "\r\n ", "\n\t", "\0", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\x1b", "\x7f")
INJECTIONS = [
    f"{before}{line_end}{after}"
    for before in ("", "a", "a ", "=?utf-8?q?a?=")
    for line_end in (
        "\r\n",
        "\n",
        "\r",
        "\r\n ",
        "\n\t",
        "\0",
        "\x0b",
        "\x0c",
        "\x85",
        "\u2028",
        "\u2029",
        "\x1b",
        "\x7f",
    )
    for after in ("Bcc: x@example.org", "\r\nbody")
]


def placed(payload: str) -> list[OutgoingMessage]:
    """The draft with the payload in every place that ends up in a header field."""
    return [
        replace(DRAFT, subject=payload),
        replace(DRAFT, from_=Address(payload, ANN.address)),
        replace(DRAFT, to=(BOB, Address(payload, BOB.address))),
        replace(DRAFT, cc=(Address("", payload + "@example.org"),)),
        replace(DRAFT, reply_to=(Address("", "a@" + payload),)),
        replace(DRAFT, headers=(("X-Note", payload),)),
        replace(DRAFT, headers=((payload, "x"),)),
        replace(DRAFT, message_id=payload + "@example.org"),
        replace(DRAFT, attachments=(Attachment(payload, "text/plain", b"x"),)),
        replace(DRAFT, html=f"cid:{payload}", attachments=(Attachment("a", "image/png", b"x", cid=payload),)),
    ]


@pytest.mark.proves("T4")
@pytest.mark.parametrize("payload", INJECTIONS, ids=range(len(INJECTIONS)))
def test_a_line_break_is_refused_in_every_field(payload: str):
    for draft in placed(payload):
        with pytest.raises(UnwritableField):
            build_message(draft)


def test_there_are_at_least_five_hundred_injections():
    assert len(INJECTIONS) * len(placed("")) >= 500


@pytest.mark.proves("T4")
@pytest.mark.parametrize("payload", INJECTIONS, ids=range(len(INJECTIONS)))
def test_identifiers_and_types_of_other_people_inject_nothing(payload: str):
    plain = Attachment("a.txt", "application/octet-stream", b"x")
    expected = field_names(build_message(replace(DRAFT, attachments=(plain,))))
    draft = replace(
        DRAFT,
        in_reply_to=payload,
        references=(payload, payload + "@example.org"),
        attachments=(replace(plain, content_type=payload),),
    )
    assert field_names(build_message(draft)) == expected


def field_names(raw: bytes) -> list[str]:
    parsed = email.message_from_bytes(raw)
    return [name for part in parsed.walk() for name, _ in part.items()]


def test_the_refusal_names_the_field():
    with pytest.raises(HeaderInjection, match=r"^Subject: line breaks") as caught:
        build_message(replace(DRAFT, subject="a\nb"))
    assert caught.value.field == "Subject"


@pytest.mark.parametrize("name", ["Bcc", "From", "content-type", "MIME-Version", "Resent-Bcc", "a b", "a:b", "", "ü"])
def test_fields_of_our_own_cannot_be_set_from_outside(name: str):
    with pytest.raises(UnwritableField):
        build_message(replace(DRAFT, headers=((name, "x"),)))


@pytest.mark.parametrize(
    "address",
    [
        *("", "bob", "bob@", "@example.org", "b b@example.org", "bob@exa mple.org", "jörg@example.org"),
        *("bob@-example.org", "<bob@example.org>", "bob@example.org,carl@example.org", "a" * 65 + "@example.org"),
    ],
)
def test_an_address_that_no_server_takes_is_refused(address: str):
    with pytest.raises(UnwritableField, match=r"^To: "):
        build_message(replace(DRAFT, to=(Address("", address),)))


def test_a_domain_in_another_script_is_written_in_ascii():
    draft = replace(DRAFT, to=(Address("", "bob@bücher.example"),))
    assert b"To: bob@xn--bcher-kva.example\r\n" in build_message(draft)
    assert envelope_recipients(draft) == ("bob@xn--bcher-kva.example",)


def test_a_date_without_a_zone_is_refused():
    with pytest.raises(UnwritableField, match=r"^Date: "):
        build_message(replace(DRAFT, date=datetime(2024, 2, 5)))  # noqa: DTZ001


def test_a_chain_of_references_keeps_its_ends():
    raw = build_message(replace(DRAFT, references=tuple(f"{number}@example.org" for number in range(1_000))))
    references = parse_summary(raw).references
    assert len(references) == 20
    assert (references[0], references[-1]) == ("0@example.org", "999@example.org")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("plain\n", b"7bit"),
        ("Grüße aus Köln, wo es heute regnet\n", b"quoted-printable"),
        ("日本語のテキスト" * 20, b"base64"),
        ("word " * 30, b"quoted-printable"),
        ("trailing \nspace\n", b"quoted-printable"),
        ("From here on\n", b"quoted-printable"),
        ("bell \x07\n", b"quoted-printable"),
    ],
)
def test_a_text_is_encoded_only_where_it_must_be(text: str, encoding: bytes):
    raw = build_message(replace(DRAFT, text=text))
    assert b"Content-Transfer-Encoding: " + encoding + b"\r\n" in raw
    assert b"\nFrom " not in raw


def test_an_image_in_the_html_is_related_to_it_and_a_file_is_beside_it():
    draft = replace(
        DRAFT,
        text="",
        html='<p>Hi <img src="cid:logo@x"></p>',
        attachments=(
            Attachment("logo.png", "image/png", b"\x89PNG", cid="logo@x"),
            Attachment("Übersicht.pdf", "application/pdf", b"%PDF"),
            Attachment("other.eml", "message/rfc822", b"Subject: x\r\n\r\n"),
        ),
    )
    raw = build_message(draft)
    types = [part.get_content_type() for part in email.message_from_bytes(raw).walk()]
    assert types == [
        *("multipart/mixed", "multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"),
        *("application/pdf", "message/rfc822", "text/plain"),
    ]
    content = open_message(raw)
    assert list(content.inline) == ["logo@x"]
    assert [each.filename for each in content.attachments] == ["Übersicht.pdf", "other.eml"]
    assert (content.text or "").strip() == "Hi"


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\0"), max_size=400)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp"]), max_size=200)


@settings(max_examples=150, deadline=None)
@given(name=WORDS, subject=WORDS, text=TEXT, html=st.none() | TEXT, filename=WORDS, content=st.binary(max_size=300))
def test_what_is_written_is_read_again(
    name: str, subject: str, text: str, html: str | None, filename: str, content: bytes
):
    name, subject, filename = (re.sub(r"\s+", " ", value).strip() for value in (name, subject, filename))
    assume("=?" not in name + subject + filename)
    draft = replace(
        DRAFT,
        to=(Address(name, BOB.address),),
        subject=subject,
        text=text or "x",
        html=html,
        attachments=(Attachment(filename, "application/pdf", content),),
        headers=(("X-Note", subject),),
    )
    raw = build_message(draft)
    assert raw.isascii()
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", raw)
    assert all(len(line) <= 200 + 78 for line in raw.split(b"\r\n"))
    summary = parse_summary(raw)
    assert summary.defects == ()
    assert (summary.to, summary.subject) == ((Address(name, BOB.address),), subject)
    assert summary.date == draft.date.astimezone(UTC)
    assert summary.attachments[0].filename == filename
    *_, (_, octets) = iter_parts(raw)
    assert octets == content
    written = re.sub(r"\r\n?", "\n", draft.text).rstrip("\n")
    first = next(iter_parts(raw))[1].decode().replace("\r\n", "\n")
    assert first.rstrip("\n") == written
    standard = email.message_from_bytes(raw, policy=email.policy.default)
    assert standard["subject"].split() == subject.split()
    assert [part.get_content_type() for part in standard.walk()][-1] == "application/pdf"


def test_reading_and_building_many_addresses_folds_every_line():
    draft = replace(DRAFT, to=tuple(Address(f"Person {number}", f"p{number}@example.org") for number in range(300)))
    raw = build_message(draft)
    assert parse_summary(raw).to == draft.to
    assert max(len(line) for line in raw.split(b"\r\n")) <= 78
