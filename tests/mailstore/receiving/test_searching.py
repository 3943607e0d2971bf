"""Search, on whichever engine the suite runs: found by beginnings, narrowed only within what the caller may read."""

from __future__ import annotations

import random
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.utils import timezone

from mailstore import searching
from mailstore.models import Folder, Message
from mailstore.searching import newest_found, parse, search_messages
from tests.mailstore.receiving.letters import NOON, fetched, letter, make_folder

pytestmark = pytest.mark.django_db


@pytest.fixture
def mail(store, mailbox):
    body = "Crème brûlée on the ÄRA menu"
    report = letter(1, subject="Annual Report", body=body, sender="Carol Jones <carol@example.com>")
    body = "report of the year, annual"
    lunch = letter(2, subject="Lunch", body=body, sender="Bob <bob@example.org>", to="dave@example.net")
    with_file = (
        b"Message-ID: <3@x>\r\nFrom: eve@example.org\r\nTo: alice@example.org\r\nSubject: Papers\r\n"
        b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nSee attached\r\n--b\r\n'
        b"Content-Type: application/pdf\r\n"
        b'Content-Disposition: attachment; filename="invoice_2026.pdf"\r\n\r\nx\r\n--b--\r\n'
    )
    store(fetched(1, report, at=NOON), fetched(2, lunch, at=NOON + timedelta(days=30)), fetched(3, with_file))
    sent = make_folder(mailbox, "Sent Items", special_use=Folder.SpecialUse.SENT)
    store(fetched(1, letter(9, subject="Draft contract", sender="alice@example.org")), folder=sent)


def found(text: str) -> set[str]:
    return set(search_messages(Message.objects.all(), text).values_list("subject", flat=True))


@pytest.mark.parametrize(
    ("text", "subjects"),
    [
        ("report", {"Annual Report", "Lunch"}),
        ("REPO", {"Annual Report", "Lunch"}),
        ('"annual report"', {"Annual Report"}),
        ("annual report", {"Annual Report", "Lunch"}),
        ("creme BRULEE", {"Annual Report"}),
        ("crème", {"Annual Report"}),
        ("ära", {"Annual Report"}),
        ("invoice", {"Papers"}),
        ("invoice_2026.pdf", {"Papers"}),
        ("from:carol", {"Annual Report"}),
        ("from:carol@example.com", {"Annual Report"}),
        ('from:"Carol Jones"', {"Annual Report"}),
        ("from:bob report", {"Lunch"}),
        ("to:dave", {"Lunch"}),
        ("to:carol", set()),
        ("subject:report", {"Annual Report"}),
        ("subject:lun", {"Lunch"}),
        ("has:attachment", {"Papers"}),
        ("report has:attachment", set()),
        ("report after:2026-04-01", {"Lunch"}),
        ("report before:2026-04", {"Annual Report"}),
        ("report before:2025", set()),
        ("in:sent", {"Draft contract"}),
        ('in:"sent items" contract', {"Draft contract"}),
        ("in:inbox lunch", {"Lunch"}),
        ("report -lunch", {"Annual Report"}),
        ("-report in:inbox", {"Papers"}),
        ("report after:yesterday", set()),
        ("from:carol before:", set()),
        ("cc:dave http://", set()),
        ("nothingofthekind", set()),
        ("", set()),
        ('"" --- ***', set()),
    ],
)
def test_what_is_typed_finds_what_is_meant(mail, text, subjects):
    assert found(text) == subjects


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("report before:yesterday", ["before: wants a date such as 2026-03-31."]),
        ("After:2024-99-01 report", ["after: wants a date such as 2026-03-31."]),
        ('-before:"" lunch', ["before: wants a date such as 2026-03-31."]),
        ("has:foo", ["has: wants the word attachment: has:attachment."]),
        ("from: carol", ["from: wants a name or an address right after the colon, such as from:maria."]),
        ('to:"***"', ["to: wants a name or an address right after the colon, such as to:support."]),
        ("subject:", ["subject: wants a word right after the colon, such as subject:offer."]),
        ("in: sent", ["in: wants a folder right after the colon, such as in:sent."]),
        ("before:x before:y", ["before: wants a date such as 2026-03-31."]),
        ("https://example.org 12:30 re: note:this", []),
        ("from:carol has:ATTACHMENT after:2024 -in:nowhere", []),
    ],
)
def test_a_known_part_that_makes_no_sense_gets_one_sentence(text, sentences):
    assert parse(text, ZoneInfo("Pacific/Auckland")).complaints == sentences


def test_results_come_newest_first(mail):
    rows = list(search_messages(Message.objects.all(), "report").values_list("subject", flat=True))
    assert rows == ["Lunch", "Annual Report"]


def test_only_what_the_caller_may_read_is_found(mail, alice, charlie):
    now = timezone.now()
    assert search_messages(Message.objects.readable_by(alice, now), "report").count() == 2
    assert search_messages(Message.objects.readable_by(charlie, now), "report").count() == 0


def test_deleted_messages_leave_the_index(mail, mailbox):
    def words() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM mailstore_fulltext")
            return cursor.fetchone()[0]

    before = words()
    Message.objects.filter(subject="Lunch").delete()
    assert found("report") == {"Annual Report"}
    assert words() == before - 1
    left = Message.objects.filter(mailbox=mailbox).count()
    mailbox.delete()
    assert words() == before - 1 - left


@pytest.mark.proves("T27")
def test_a_thousand_hostile_queries_are_answered(mail):
    chance = random.Random(27)
    pieces = [
        '"', "'", "*", "(", ")", "^", ":", "-", "+", "%", "_", "\\", "\0", "&", "|", "!", "<->", "NEAR(", " AND ",
        " OR ", " NOT ", "{a b}:", "subject:", "from:", "before:", "has:", "in:", "in:\0", "report", "ä", "漢字",
        "\ud800", "🦆", ";--", "' OR 1=1", "0x41", "a" * 300, "before:9999-12-31", "before:0001", "after:99999-99",
        "\u202e", "\n", "\t",
    ]  # fmt: skip
    for _ in range(1000):
        text = "".join(chance.choices(pieces, k=chance.randint(1, 30)))
        assert len(search_messages(Message.objects.all(), text)[:50]) <= 4


def test_a_search_is_one_query(mail, assert_queries):
    with assert_queries(1):
        list(search_messages(Message.objects.all(), 'report -lunch from:carol has:attachment in:inbox "x y"'))


# --- Page by page -------------------------------------------------------------------------------------------------


@pytest.fixture
def many(store):
    """Sixty messages, all about a report; every twentieth has an invoice too. Some came at the same moment."""
    letters = (
        letter(uid, subject=f"Report {uid}", body="the annual invoice" if uid % 20 == 1 else "a report")
        for uid in range(1, 61)
    )
    store(*(fetched(uid, raw, at=NOON + timedelta(hours=uid // 3)) for uid, raw in enumerate(letters, 1)))


@pytest.mark.parametrize("newest", [2, 30, 2000])
@pytest.mark.parametrize(
    "text", ["report", "invoice", '"annual invoice" report', "report -invoice", "nothing", "has:attachment"]
)
def test_pages_hold_what_the_whole_search_finds(many, alice, monkeypatch, newest, text):
    """Whether the newest messages fill a page, or the index is asked for all."""
    monkeypatch.setattr(searching, "NEWEST", newest)
    readable = Message.objects.live().readable_by(alice, timezone.now())
    shown, after = [], ""
    while True:
        page = newest_found(readable, text, after, size=2 if text == "invoice" else 7)
        shown += page.rows
        if not (after := page.next):
            break
    assert shown == list(search_messages(readable, text))


def test_a_page_of_a_search_holds_only_what_one_may_read(many, charlie):
    assert newest_found(Message.objects.readable_by(charlie, timezone.now()), "report").rows == []


@pytest.mark.parametrize(("text", "queries"), [("report", 2), ("invoice", 2), ("nothing", 1)])
def test_a_page_of_a_search_is_two_queries_wherever_it_is_found(many, alice, assert_queries, text, queries):
    readable = Message.objects.readable_by(alice, timezone.now()).select_related("folder", "mailbox")
    with assert_queries(queries):
        for message in newest_found(readable, text).rows:
            assert (message.folder.name, message.mailbox.address) == ("INBOX", "alice@example.org")


def test_lists_by_time_walk_along_an_index(many, mailbox, alice):
    """No sorting: the newest forty of a mailbox, or of all that one may read, cost the same however many there are."""
    live = Message.objects.live().order_by("-received_at", "-pk")
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # which with sixty messages would sort them
            cursor.execute("SET LOCAL enable_sort = off; SET LOCAL enable_seqscan = off")
        for found in (live.filter(mailbox=mailbox), live.readable_by(alice, timezone.now())):
            plan = found[:41].explain()
            assert "message_newest_" in plan
            assert "Sort" not in plan
            assert "TEMP B-TREE" not in plan
