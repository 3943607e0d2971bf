"""What became of earlier mail: every verdict on reports of many systems, and none on mail that is no report."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.message.bounce_reasons import judge
from protocols.message.bounces import classify, read_report
from protocols.message.reports import Action, Kind, Reason, Report, ReportType

SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "bounces"
OWN = json.loads((SAMPLES / "expected.json").read_text(encoding="utf-8"))
CORPUS = Path(__file__).resolve().parents[4] / "shared" / "corpora" / "bounces"
FOREIGN = json.loads((CORPUS / "expected.json").read_text()) if CORPUS.exists() else {}
NOTICE = b"Return-Path: <>\nFrom: MAILER-DAEMON@mx.example\nSubject: Undelivered Mail Returned to Sender\n\n"
MACHINE = b"From: a@b\nContent-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n"


def sample(name: str) -> Report:
    return classify((SAMPLES / f"{name}.eml").read_bytes())


@pytest.mark.proves("I7")
@pytest.mark.parametrize("name", OWN)
def test_reports_of_many_systems_are_understood(name: str):
    report = sample(name)
    assert {
        "type": report.type,
        "message_id": report.original.message_id,
        "recipients": [
            {"address": each.address, "action": each.action, "status": each.status, "kind": each.kind}
            | {"reason": each.reason}
            for each in report.recipients
        ],
    } == OWN[name]


def test_every_sample_has_its_expectation():
    assert {path.stem for path in SAMPLES.glob("*.eml")} == set(OWN)


@pytest.mark.proves("I7")
@pytest.mark.parametrize("name", FOREIGN)
def test_verdicts_agree_with_the_collection(name: str):
    report = classify((CORPUS / name).read_bytes())
    ours = sorted((each.kind, each.reason) for each in report.recipients)
    assert ours == sorted((expected_kind(each), each["reason"]) for each in FOREIGN[name])
    if not FOREIGN[name]:
        assert report.type == ReportType.NONE


def expected_kind(entry: dict[str, object]) -> str:
    if entry["reason"] == "vacation":
        return "none"
    return "hard" if entry["hard"] else "soft"


@pytest.mark.parametrize(
    ("status", "diagnostic", "kind", "reason"),
    [
        ("5.1.1", "550 5.1.1 whatever stands here", Kind.HARD, Reason.USER_UNKNOWN),
        ("5.0.0", "550 5.1.1 <bob@example.org>... User Unknown", Kind.HARD, Reason.USER_UNKNOWN),
        ("4.1.1", "450 4.1.1 unverified address", Kind.SOFT, Reason.USER_UNKNOWN),
        ("5.1.1", "550 5.1.1 mailbox is full", Kind.SOFT, Reason.MAILBOX_FULL),
        ("5.2.1", "550 5.2.1 the account is disabled", Kind.SOFT, Reason.SUSPENDED),
        ("5.2.1", "550 5.2.1 user unknown (in reply to RCPT TO command)", Kind.HARD, Reason.USER_UNKNOWN),
        ("5.2.1", "550 5.2.1 user unknown", Kind.SOFT, Reason.FILTERED),
        ("", "550 user unknown (in reply to end of DATA command)", Kind.SOFT, Reason.FILTERED),
        ("", "550 Mailbox unavailable (in reply to RCPT TO command)", Kind.HARD, Reason.USER_UNKNOWN),
        ("", "550 Mailbox unavailable", Kind.SOFT, Reason.FILTERED),
        ("5.1.10", "556 5.1.10 Recipient address has null MX", Kind.HARD, Reason.NOT_ACCEPT),
        ("5.1.6", "551 5.1.6 gone away", Kind.HARD, Reason.HAS_MOVED),
        (
            "4.4.3",
            "Name service error for name=x.example type=MX: Host not found, try again",
            Kind.SOFT,
            Reason.HOST_UNKNOWN,
        ),
        (
            "5.7.1",
            "554 5.7.1 Service unavailable; client [192.0.2.1] blocked using rbl.example",
            Kind.SOFT,
            Reason.BLOCKED,
        ),
        ("5.7.1", "550 5.7.1 relaying denied", Kind.SOFT, Reason.NO_RELAYING),
        ("5.7.1", "550 5.7.1 this looks like spam", Kind.SOFT, Reason.SPAM_DETECTED),
        ("5.7.26", "550 5.7.26 unauthenticated", Kind.SOFT, Reason.AUTH_FAILURE),
        ("5.3.4", "552 5.3.4 Message size exceeds fixed limit", Kind.SOFT, Reason.MESSAGE_TOO_BIG),
        ("", "452 requested action not taken", Kind.SOFT, Reason.SYSTEM_FULL),
        ("", "552 no", Kind.SOFT, Reason.MAILBOX_FULL),
        ("", "550 no", Kind.SOFT, Reason.UNDEFINED),
        ("", "", Kind.SOFT, Reason.UNDEFINED),
        ("", "550 5.1.1", Kind.HARD, Reason.USER_UNKNOWN),
        ("", "Der Empfänger ist unbekannt", Kind.HARD, Reason.USER_UNKNOWN),
        ("", "Das Postfach ist voll", Kind.SOFT, Reason.MAILBOX_FULL),
        ("", "L'utilisateur est inconnu", Kind.HARD, Reason.USER_UNKNOWN),
        ("", "El usuario no existe", Kind.HARD, Reason.USER_UNKNOWN),
        ("", "La casella del destinatario è piena", Kind.SOFT, Reason.MAILBOX_FULL),
        ("", "пользователь не найден", Kind.HARD, Reason.USER_UNKNOWN),
        ("", "почтовый ящик переполнен", Kind.SOFT, Reason.MAILBOX_FULL),
        ("", "宛先のユーザが見つかりません", Kind.HARD, Reason.USER_UNKNOWN),
        ("", "メールボックスが一杯です", Kind.SOFT, Reason.MAILBOX_FULL),
        ("", "收件人不存在", Kind.HARD, Reason.USER_UNKNOWN),
        ("", "550 <spam@blocked.example>: user unknown", Kind.HARD, Reason.USER_UNKNOWN),
        ("", "host mx.spam.blacklist.example [192.0.2.1] said: 550 no such user", Kind.HARD, Reason.USER_UNKNOWN),
    ],
)
def test_codes_count_before_texts_and_texts_where_codes_are_vague(
    status: str, diagnostic: str, kind: Kind, reason: Reason
):
    verdict = judge(Action.FAILED, status, diagnostic)
    assert (verdict.kind, verdict.reason) == (kind, reason)


def test_a_delay_is_no_failure_even_where_nobody_is_there():
    verdict = judge(Action.DELAYED, "", "550 5.1.1 user unknown")
    assert verdict.kind == Kind.SOFT
    [recipient] = sample("postfix-delayed").recipients
    assert not recipient.is_failure
    assert recipient.kind == Kind.SOFT


def test_numbers_that_are_no_codes_are_not_taken_for_some():
    verdict = judge(Action.FAILED, "", "connect to mx.example[5.1.1.7]:25 failed: no idea, 5120 octets, id 5501234")
    assert (verdict.reply_code, verdict.status) == ("", "5.0.0")


def test_a_status_that_the_report_leaves_out_is_that_of_its_reason():
    assert judge(Action.FAILED, "", "mailbox full").status == "5.2.2"
    assert judge(Action.DELAYED, "", "connection timed out").status == "4.4.7"


def test_two_recipients_have_a_verdict_each():
    full, gone = sample("postfix-two-recipients").recipients
    assert (full.kind, full.reason) == (Kind.SOFT, Reason.MAILBOX_FULL)
    assert (gone.kind, gone.reason) == (Kind.HARD, Reason.HOST_UNKNOWN)
    assert full.remote_host == "mx.receiver.example"
    assert full.diagnostic == "452 4.2.2 Over quota"


def test_an_alias_is_told_apart_from_what_it_leads_to():
    [recipient] = sample("exim-alias").recipients
    assert (recipient.address, recipient.final) == ("sales@receiver.example", "bob@elsewhere.example")


def test_an_original_is_known_by_its_fields_its_envelope_and_what_the_report_answers():
    assert sample("postfix-delivered").original.envelope_id == "order-77"
    original = sample("microsoft-365-unknown-user").original
    assert original.references == ("m1@sender.example",)
    assert original.subject == "Offer for March"
    assert original.fields["from"] == "Alice <alice@sender.example>"
    assert sample("vacation").original.references == ("v1@sender.example",)


def test_gmail_names_the_original_where_it_does_not_return_it():
    raw = (SAMPLES / "gmail-not-found.eml").read_bytes()
    status = raw.partition(b"Content-Type: message/rfc822")[0] + b"Content-Type: text/plain\n\n--outer--\n"
    assert classify(status).original.message_id == "g1@sender.example"


def test_a_quoted_message_id_is_found():
    text = b"<bob@example.org>:\n550 no such user\n\n--- The original message:\n> Subject: Offer\n> Message-ID: <q@x>\n"
    original = classify(NOTICE + text).original
    assert (original.message_id, original.subject) == ("q@x", "Offer")


def test_the_recipient_is_whom_the_sender_meant():
    status = b"Original-Recipient: rfc822; list+40x.example\nFinal-Recipient: rfc822; bob@y.example\nAction: (x) \n"
    [recipient] = classify(MACHINE + status + b"Status: 5.1.1\n\n--b--\n").recipients
    assert (recipient.address, recipient.final) == ("list@x.example", "bob@y.example")
    assert recipient.action == Action.FAILED


def test_a_vague_status_gives_way_to_the_code_of_the_server():
    assert judge(Action.FAILED, "5.0.0", "550 5.2.2 no").status == "5.2.2"
    assert judge(Action.FAILED, "5.5.0", "550 5.2.2 no").reason == Reason.MAILBOX_FULL
    assert judge(Action.FAILED, "5.1.1", "554 5.0.0 no").status == "5.1.1"


def test_what_has_failed_for_good_is_no_delay_though_it_speaks_of_one():
    text = b"Your message is delayed no longer: we are giving up.\n\n<bob@example.org>:\n550 no such user\n"
    [recipient] = classify(NOTICE + text).recipients
    assert recipient.is_failure
    text = b"Your message is delayed; we go on trying.\n\n<bob@example.org>:\n450 busy\n"
    [recipient] = classify(NOTICE + text).recipients
    assert not recipient.is_failure


def test_the_address_that_exim_lists_counts_where_the_text_has_half_of_it():
    text = b"The message could not be delivered:\n\n  bob\n    host mx.example: 550 5.1.1 no such user\n"
    listed = b"X-Failed-Recipients: bob@example.org\n" + NOTICE + text
    assert [(each.address, each.kind) for each in classify(listed).recipients] == [("bob@example.org", Kind.HARD)]
    other = listed.replace(b"  bob\n", b"  carol@example.org\n")
    assert [each.address for each in classify(other).recipients] == ["bob@example.org"]


def test_small_print_is_no_diagnosis():
    head, _, status = MACHINE.partition(b"--b\n")
    written = head + b"--b\n\nhelp@receiver.example for help\n\n--b\n" + status
    [recipient] = classify(written + b"Final-Recipient: rfc822; bob@receiver.example\n\n--b--\n").recipients
    assert (recipient.reason, recipient.diagnostic) == (Reason.UNDEFINED, "")


def test_a_read_receipt_is_no_report_though_a_program_wrote_it():
    raw = (SAMPLES / "none-read-receipt.eml").read_bytes()
    assert classify(b"Auto-Submitted: auto-replied\n" + raw).type == ReportType.NONE


def test_praise_is_no_complaint():
    assert sample("complaint").is_complaint
    assert not sample("feedback-not-spam").is_complaint


def test_what_a_person_forwards_is_no_report():
    report = (SAMPLES / "postfix-unknown-user.eml").read_bytes()
    forwarded = (
        b"From: Alice <alice@sender.example>\nContent-Type: multipart/mixed; boundary=f\n\n--f\n\nSee below.\n--f\n"
    )
    assert classify(forwarded + b"Content-Type: message/rfc822\n\n" + report + b"\n--f--\n").type == ReportType.NONE
    status = report[report.index(b"Content-Type: message/delivery-status") :].replace(b"--=_part", b"--f")
    assert classify(forwarded + status).type == ReportType.NONE


@pytest.mark.parametrize("subject", ["Automatic reply: x", "Abwesenheitsnotiz", "自動応答: x", "Автоответ: x"])
def test_a_subject_alone_makes_no_automatic_reply(subject: str):
    written = f"From: bob@example.org\nSubject: {subject}\n".encode()
    assert classify(written + b"\n").type == ReportType.NONE
    assert classify(written + b"In-Reply-To: <a@b>\n\n").type == ReportType.AUTO_REPLY


@pytest.mark.parametrize(
    "field", ["Auto-Submitted: auto-replied", "X-Autoreply: yes", "Precedence: auto_reply", "X-Apple-Action: VACATION"]
)
def test_fields_make_an_automatic_reply(field: str):
    assert classify(f"From: bob@example.org\n{field}\n\n".encode()).type == ReportType.AUTO_REPLY


@pytest.mark.parametrize("field", ["Auto-Submitted: no", "Auto-Submitted: auto-generated", "Precedence: bulk"])
def test_other_mail_of_programs_is_no_automatic_reply(field: str):
    assert classify(f"From: bob@example.org\n{field}\nSubject: Auto: x\n\n".encode()).type == ReportType.NONE


def test_an_address_in_the_small_print_is_no_recipient():
    text = b"We were unable to deliver your message.\n\npostmaster@mx.example\n\nhelp@mx.example for help\n"
    assert classify(NOTICE + text) == Report(ReportType.NONE)


def test_the_sender_that_a_server_repeats_is_no_recipient():
    text = (
        b"Delivery failed:\n\n  bob@example.org\n    SMTP error after MAIL FROM:<alice@sender.example>:\n    550 no\n"
    )
    assert [each.address for each in classify(NOTICE + text).recipients] == ["bob@example.org"]


HOSTILE = {
    "addresses": NOTICE + b"".join(b"<a%d@b.example>:\nuser host %d\n\n" % (i, i) for i in range(20_000)),
    "paragraphs": NOTICE + b"".join(b"<a%d@b.example>:\n" % i + b"user host %d\n\n" % i * 29 for i in range(3_000)),
    "one_line": NOTICE + b"<a@b.example>: " + b"user host mailbox sender quota " * 200_000,
    "long_lines": NOTICE + b"<a@b.example>:\n" + (b"user host sender " * 58 + b"\n\n") * 4_000,
    "ats": NOTICE + (b"a" * 998 + b"@\n") * 8_000,
    "failed_recipients": b"X-Failed-Recipients: "
    + b",".join(b"a%d@b.example" % i for i in range(10_000))
    + b"\n"
    + NOTICE
    + b"user zzz\n" * 4_000,
    "statuses": MACHINE
    + b"".join(
        b"Final-Recipient: rfc822;a%d@b.example\nDiagnostic-Code: smtp; %s\n\n" % (i, b"user host " * 300)
        for i in range(3_000)
    ),
    "folded": MACHINE + b"Final-Recipient: rfc822;a@b.example\nDiagnostic-Code: smtp; x\n" + b" user host\n" * 500_000,
    "page": b"From: mailer-daemon@x\nSubject: Undelivered\nContent-Type: text/html\n\n"
    + b"<p>&lt;a@b.c&gt;:<br>" * 100_000,
    "feedback": b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/feedback-report\n\n"
    + b"Original-Rcpt-To: <a@b.example>\n" * 200_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_reports_take_a_bounded_time(name: str):
    start = time.process_time()
    report = classify(HOSTILE[name])
    assert time.process_time() - start < 3
    assert len(report.recipients) <= 1_000


PIECES = st.sampled_from(
    [
        *(
            b"<bob@example.org>:",
            b"550 5.1.1 no",
            b"Final-Recipient: rfc822;",
            b"Status: 9.9.999999",
            b"Action: failed",
        ),
        *(b"utf-8; \\x{110000}@x", b"+FF@", b"Return-Path: <>\n", b"@", b"--b", b"\0\xff", b"\n", b"\n\n", b"\r", b" "),
    ]
)


@given(st.lists(PIECES | st.binary(max_size=40), max_size=40), st.booleans())
@settings(max_examples=150, deadline=None)
def test_nothing_makes_it_raise(pieces: list[bytes], is_status: bool):
    report = read_report((MACHINE if is_status else NOTICE) + b"".join(pieces))  # `classify` would hide what it raises
    json.dumps([each.address + each.diagnostic for each in report.recipients]).encode()


@given(st.sampled_from(sorted(OWN)), st.integers(0, 3_000), st.integers(0, 400), st.binary(max_size=20))
@settings(max_examples=150, deadline=None)
def test_a_damaged_report_is_read_as_far_as_it_goes(name: str, start: int, length: int, other: bytes):
    raw = (SAMPLES / f"{name}.eml").read_bytes()
    report = read_report(raw[:start] + other + raw[start + length :])
    assert all("@" in each.address for each in report.recipients)
