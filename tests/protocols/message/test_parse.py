"""What the store reads of a message: golden samples of our own, agreement with the standard library, hostile input."""

from __future__ import annotations

import email
import email.policy
import json
from dataclasses import asdict
from email.headerregistry import Address as StandardAddress
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from protocols.message import parse
from protocols.message.content import iter_parts, open_message, part_bytes
from protocols.message.limits import LIMITS
from protocols.message.parse import parse_summary
from tests.effort import done_within
from tests.protocols.message.bombs import BOMBS, MIXED, nested, of_type

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.eml")), ids=lambda path: path.stem)
def test_a_sample_is_read_exactly_as_written_down(sample: Path):
    summary = asdict(parse_summary(sample.read_bytes()))
    expected = json.loads(sample.with_suffix(".json").read_text(encoding="utf-8"))
    summary["from_"] = list(summary["from_"].values()) if summary["from_"] else None
    for name in ("to", "cc"):
        summary[name] = [list(address.values()) for address in summary[name]]
    summary["attachments"] = [list(part.values())[:6] for part in summary["attachments"]]
    summary["date"] = summary["date"].isoformat() if summary["date"] else None
    assert {name: json.loads(json.dumps(summary[name])) for name in expected} == expected


def test_bare_line_feeds_and_crlf_are_read_alike():
    for sample in SAMPLES.glob("*.eml"):
        raw = sample.read_bytes().replace(b"\r\n", b"\n")
        with_crlf = parse_summary(raw.replace(b"\n", b"\r\n"))
        assert with_crlf.text == parse_summary(raw).text
        assert with_crlf.subject == parse_summary(raw).subject
        assert len(with_crlf.attachments) == len(parse_summary(raw).attachments)


NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cf", "Zs", "Zl", "Zp", "Cn"]), max_size=30
)


@settings(max_examples=60, deadline=None)
@given(name=NAMES, subject=NAMES, text=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])))
def test_normal_mail_written_by_the_standard_library_is_read_as_it_was_meant(name: str, subject: str, text: str):
    assume(text.strip())  # an empty text gives way to the HTML
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = StandardAddress(name, "ann", "example.org")
    message["To"] = "Bob <bob@example.org>, carl@example.org"
    message["Subject"] = subject
    message.set_content(text)
    message.add_alternative("<p>other</p>", subtype="html")
    message.add_attachment(b"\0\1\2", maintype="application", subtype="pdf", filename=f"{subject}.pdf")
    summary = parse_summary(message.as_bytes())
    assert summary.from_ is not None
    assert (summary.from_.name, summary.from_.address) == (name, "ann@example.org")
    assert [address.address for address in summary.to] == ["bob@example.org", "carl@example.org"]
    assert summary.subject == subject
    assert summary.text.split() == text.split()
    assert [(part.filename, part.size) for part in summary.attachments] == [(f"{subject}.pdf", 3)]


@pytest.mark.proves("G1", "R30")
@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from(
                [
                    *(b"\r\n", b"\n", b"--b\n", b"--b--\n", b"<", b'"', b"\0", b"From: ", b"References: <"),
                    b"Content-Type: multipart/mixed; boundary=b\n",
                    b"Content-Type: text/html; charset=utf-7\n",
                    b"Content-Transfer-Encoding: base64\n",
                    b"Content-Transfer-Encoding: x-uuencode\n",
                    b"Content-Disposition: attachment; filename*0*=utf-8''%ff\n",
                    b"Date: 99 Jan 99999 99:99:99 +9999\n",
                    *(b"Subject: =?x?b?", b"=?utf-8?q?"),
                ]
            ),
        ),
        max_size=25,
    ).map(b"".join)
)
def test_no_octets_raise_an_error_and_all_text_can_be_stored(raw: bytes):
    summary = parse.read_fully(raw, LIMITS)
    content = open_message(raw)
    assert "unreadable" not in content.defects
    stored = json.dumps([asdict(summary), asdict(content)], default=str, ensure_ascii=False)
    stored.encode("utf-8")  # no lone surrogate
    assert "\\u0000" not in stored  # no NUL, which PostgreSQL refuses
    for part, octets in iter_parts(raw):
        assert part_bytes(raw, part.path) == octets


@pytest.mark.proves("R30")
def test_a_defect_of_our_own_still_lists_the_message(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(parse, "scan_structure", lambda *_: 1 / 0)
    assert parse_summary(MIXED).defects == ("unreadable",)


@pytest.mark.proves("T13")
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_costs_little_and_is_still_listed(bomb: str):
    raw = BOMBS[bomb]()
    summary, content = done_within(4, lambda: (parse_summary(raw), open_message(raw)))  # each at most two seconds
    assert "unreadable" not in (*summary.defects, *content.defects)
    assert len(summary.text) <= LIMITS.text_indexed
    assert len(content.text or "") <= LIMITS.text_shown
    assert len(content.parts) <= LIMITS.parts


def test_there_are_at_least_forty_bombs():
    assert len(BOMBS) >= 70


def test_what_lies_beyond_a_limit_is_named():
    assert "header_too_large" in parse_summary(BOMBS["ten megabytes of headers"]()).defects
    assert "too_many_parts" in parse_summary(BOMBS["a hundred thousand parts"]()).defects
    assert "nested_too_deeply" in parse_summary(nested(60)).defects
    assert "too_many_addresses" in parse_summary(BOMBS["twenty thousand addresses"]()).defects
    assert "too_many_delimiters" in parse_summary(BOMBS["lines that almost are delimiters"]()).defects
    assert parse_summary(nested(49)).text == "the deepest text"


def test_of_too_many_references_the_first_and_the_newest_stay():
    chain = b" ".join(b"<%d@example.org>" % number for number in range(3_000))
    references = parse_summary(b"References: " + chain + b"\r\n\r\n").references
    assert len(references) == LIMITS.references
    assert (references[0], references[-1]) == ("0@example.org", "2999@example.org")


@pytest.mark.parametrize(
    ("body", "charset", "expected"),
    [
        ("Grüße".encode(), b"utf-8", "Grüße"),
        ("Grüße".encode("latin-1"), b"iso-8859-1", "Grüße"),
        ("10 €".encode("cp1252"), b"iso-8859-1", "10 €"),
        ("Grüße".encode(), b"us-ascii", "Grüße"),
        ("Привет, как дела".encode("koi8-r"), b"koi8-r", "Привет, как дела"),
        ("한국어".encode("cp949"), b"ks_c_5601-1987", "한국어"),
        ("简体中文".encode("gb18030"), b"GB2312", "简体中文"),
        ("日本語".encode("iso-2022-jp"), b"ISO-2022-JP", "日本語"),
        ("Grüße".encode("utf-7"), b"unicode-1-1-utf-7", "Grüße"),
        ("Grüße".encode(), b"klingon", "Grüße"),
        ("Gr\u00fc\u00dfe".encode("utf-16"), b"utf-16", "Grüße"),
        ("Grüße, ".encode() + b"broken \xe2\x82 sign", b"utf-8", "Grüße, broken \ufffd sign"),
        ("Ein Text mit einem einzigen Umlaut: ü".encode("latin-1"), b"utf-8", "Ein Text mit einem einzigen Umlaut: ü"),
    ],
)
def test_a_body_is_decoded_by_the_charset_ladder(body: bytes, charset: bytes, expected: str):
    assert parse_summary(of_type(b'text/plain; charset="%s"' % charset, body)).text == expected


def test_an_undeclared_charset_is_guessed_from_the_text():
    text = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 5
    assert parse_summary(of_type(b"text/plain", text.encode("cp1251"))).text == text.strip()


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b"Mon, 05 Feb 2024 10:00:00 +0100", "2024-02-05T09:00:00+00:00"),
        (b"5 Feb 2024 10:00 GMT", "2024-02-05T10:00:00+00:00"),
        (b"Mon, 5 Feb 24 10:00:00 EST", "2024-02-05T15:00:00+00:00"),
        (b"Mon, 05 Feb 2024 23:59:60 +0000 (UTC)", "2024-02-05T23:59:59+00:00"),
        (b"Mon Feb  5 10:00:00 2024", "2024-02-05T10:00:00+00:00"),
        (b"Mon, 05 Feb 2024 10:00:00 -0000", "2024-02-05T10:00:00+00:00"),
        (b"Mon, 31 Feb 2024 10:00:00 +0000", None),
        (b"31 Dec 9999 23:59:59 -2300", None),
        (b"yesterday", None),
    ],
)
def test_dates_become_moments_in_utc(field: bytes, expected: str | None):
    date = parse_summary(b"Date: " + field + b"\r\n\r\n").date
    assert (date.isoformat() if date else None) == expected


def test_html_mail_is_searchable_by_what_a_reader_sees():
    body = (
        b"<html><head><title>no</title><style>p{color:red}</style></head><body><!-- no --><p>Caf&eacute; &amp; bar"
        b"<script>no()</script><ul><li>one<li>two</ul>1 &lt; 2</body></html>"
    )
    assert parse_summary(of_type(b"text/html; charset=utf-8", body)).text == "Café & bar\n\n- one\n- two\n1 < 2"


def test_a_message_without_headers_is_all_body():
    summary = parse_summary(b"Dear Bob, there is no header here.\r\n\r\nAnn\r\n")
    assert summary.text == "Dear Bob, there is no header here.\n\nAnn"
    assert summary.from_ is None


def test_carriage_returns_alone_end_lines_too():
    summary = parse_summary(b"From: ann@example.org\rSubject: Old\r\rHello\rBob\r")
    assert (summary.subject, summary.text) == ("Old", "Hello\nBob")


def test_an_mbox_line_before_the_headers_is_passed_over():
    assert parse_summary(b"From ann@example.org Mon Feb  5 10:00:00 2024\nSubject: Hi\n\nx").subject == "Hi"


def test_a_subject_holds_no_control_characters():
    summary = parse_summary(b"Subject: =?utf-8?q?a=00b=0D=0Ac=1B[31m=E2=80=AEd?=\r\n\r\n")
    assert summary.subject == "ab c[31md"


def test_a_character_split_between_two_encoded_words_is_joined():
    assert parse_summary(b"Subject: =?utf-8?q?J=C3?=\r\n =?utf-8?q?=B6rg?=\r\n\r\n").subject == "Jörg"


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("lengths", [[76, 76, 76, 40], [76, 76], [76, 40, 76], [8, 76, 76], [16]])
def test_the_size_of_an_attachment_is_exact_also_where_a_line_is_shorter(end, lengths):
    head = b"Content-Type: application/pdf" + end + b"Content-Transfer-Encoding: base64" + end + end
    raw = head + b"".join(b"A" * length + end for length in lengths)
    assert [part.size for part in parse_summary(raw).attachments] == [sum(lengths) * 3 // 4]
