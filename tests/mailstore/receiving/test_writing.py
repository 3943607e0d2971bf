"""The writer: once per (folder, UIDVALIDITY, UID), rows and cursor together, whatever the messages are like."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from mailstore import signals, writing
from mailstore.models import Arrival, Attachment, Folder, Listing, Message, SyncSchedule
from mailstore.packs import read_raw
from mailstore.writing import Claim, ClaimLost, Stored
from protocols.imap.plan import UidSet
from tests.mailstore.receiving.letters import fetched, letter, make_folder

pytestmark = pytest.mark.django_db

REPORT = (
    b"From: =?utf-8?q?J=C3=B6rg?= <joerg@example.com>\r\nTo: Alice <alice@example.org>\r\nCc: bob@example.org\r\n"
    b"Message-ID: <report@example.com>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSee the report.\r\n'
    b'--b\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename="report.pdf"\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--b--\r\n"
)


@pytest.mark.proves("G1", "V3")
def test_a_message_is_stored_with_its_octets_and_what_a_list_shows(store):
    assert store(fetched(5, REPORT, r"\Seen", "$Forwarded")) == Stored(1, 0)
    message = Message.objects.get()
    assert read_raw(message, verify=True) == REPORT
    assert (message.uid, message.uidvalidity, message.is_seen, message.keywords) == (5, 7, True, ["$Forwarded"])
    assert (message.subject, message.from_name, message.from_address) == ("Grüße", "Jörg", "joerg@example.com")
    assert message.to == [["Alice", "alice@example.org"], ["", "bob@example.org"]]
    assert message.preview == "See the report."
    attachment = Attachment.objects.get(message=message)
    assert (attachment.filename, attachment.content_type, attachment.size) == ("report.pdf", "application/pdf", 5)
    listing = Listing.objects.get()
    assert (listing.newest, listing.message_count, listing.unread_count, listing.senders) == (message, 1, 0, "Jörg")
    assert listing.has_attachments


@pytest.mark.proves("G1", "V2", "V6")
def test_storing_the_same_messages_again_changes_nothing(store, inbox):
    batch = [fetched(uid) for uid in range(1, 20)]
    store(*batch)
    before = list(Message.objects.order_by("pk").values())
    assert store(*batch, new_from=1) == Stored(0, 0)
    assert list(Message.objects.order_by("pk").values()) == before
    assert not Arrival.objects.exists()


def test_a_message_sent_twice_in_one_answer_is_stored_once(store):
    assert store(fetched(1), fetched(1)).messages == 1


@pytest.mark.proves("R1")
def test_the_cursor_moves_with_the_rows_or_not_at_all(store, inbox, monkeypatch):
    store(fetched(3), covered=UidSet([range(1, 6)]))
    inbox.refresh_from_db()
    assert inbox.stored == "1:5"

    def stop(name):
        if name == "batch written":
            raise KeyboardInterrupt

    monkeypatch.setattr(writing, "faultpoint", stop)
    with pytest.raises(KeyboardInterrupt):
        store(fetched(9))
    inbox.refresh_from_db()
    assert inbox.stored == "1:5"
    assert not Message.objects.filter(uid=9).exists()


@pytest.mark.proves("R34")
def test_a_worker_whose_claim_has_passed_changes_nothing(store, inbox, schedule):
    SyncSchedule.objects.filter(pk=schedule.pk).update(leased_until=timezone.now())
    assert SyncSchedule.objects.claim(schedule.pk, timezone.now()) is not None
    with pytest.raises(ClaimLost):
        store(fetched(1))
    inbox.refresh_from_db()
    assert not Message.objects.exists()
    assert inbox.stored == ""


def test_progress_and_lease_are_renewed_with_each_batch(store, schedule):
    SyncSchedule.objects.filter(pk=schedule.pk).update(leased_until=timezone.now())
    store(fetched(1), fetched(2))
    store(fetched(3))
    schedule.refresh_from_db()
    assert schedule.done == 3
    assert schedule.is_running(timezone.now())


def test_old_mail_is_no_arrival_and_new_mail_is(store, django_capture_on_commit_callbacks):
    heard = []
    listener = lambda **news: heard.append((news["mailbox_pk"], news["message_pks"]))  # noqa: E731
    signals.arrivals_stored.connect(listener)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            stored = store(*(fetched(uid) for uid in range(1, 6)), new_from=4)
    finally:
        signals.arrivals_stored.disconnect(listener)
    new = list(Message.objects.filter(uid__gte=4).order_by("pk"))
    assert stored == Stored(5, 2)
    arrivals = Arrival.objects.order_by("pk").values_list("message_id", "is_read_for_reports")
    assert list(arrivals) == [(m.pk, False) for m in new]
    assert heard == [(new[0].mailbox_id, [m.pk for m in new])]


def test_a_message_that_only_moved_to_another_folder_is_no_arrival(store, mailbox):
    store(fetched(1))
    archive = make_folder(mailbox, "Archive")
    assert store(fetched(1, letter(1)), folder=archive, new_from=1) == Stored(1, 0)


BROKEN = {
    "nothing at all": b"",
    "no header": b"just text without any header\r\n",
    "only a line break": b"\r\n",
    "NUL in every place": b"Subject: a\0b\r\nFrom: x\0y <a\0@example.com>\r\nMessage-ID: <n\0l@x>\r\n\r\nbo\0dy\r\n",
    "NUL by an encoded word": b"Subject: =?utf-8?q?a=00b?=\r\nFrom: =?utf-8?b?AABB?= <a@example.com>\r\n\r\n",
    "a lone surrogate": b"Subject: =?utf-7?q?+2AA-?=\r\nContent-Type: text/plain; charset=utf-16-le\r\n\r\n\0\xd8a\0",
    "an unknown charset": b"Content-Type: text/plain; charset=klingon\r\n\r\n\xff\xfe\x00\x80",
    "a subject of 100,000 characters": b"Subject: " + b"a" * 100_000 + b"\r\n\r\nx",
    "a file name of 10,000 characters": b"Content-Type: application/x-y; name=" + b"n" * 10_000 + b"\r\n\r\nx",
    "a date beyond the calendar": b"Date: Fri, 31 Dec 9999 23:59:59 -1400\r\n\r\nx",
    "a date before it": b"Date: Mon, 1 Jan 0001 00:00:00 +1400\r\n\r\nx",
    "broken base64": b"Content-Transfer-Encoding: base64\r\nContent-Type: text/plain\r\n\r\n=====aGV%%%sbG8",
    "a boundary that never comes": b"Content-Type: multipart/mixed; boundary=zz\r\n\r\nnothing of the kind",
    "5,000 recipients": b"To: " + b", ".join(b"p%d@example.org" % n for n in range(5000)) + b"\r\n\r\nx",
    "3,000 references": b"References: " + b" ".join(b"<%d@example.org>" % n for n in range(3000)) + b"\r\n\r\nx",
}


@pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.proves("G1", "R30", "T13")
def test_a_broken_message_is_stored_and_does_not_stop_the_others(store, raw):
    assert store(fetched(1), fetched(2, raw), fetched(3)).messages == 3
    message = Message.objects.get(uid=2)
    assert read_raw(message, verify=True) == raw
    assert Listing.objects.filter(conversation=message.conversation).exists()


@pytest.mark.proves("G1", "T13")
def test_ten_megabytes_of_headers_are_stored(store):
    raw = b"Subject: big\r\n" + b"X-Pad: " + b"p" * 70 + b"\r\n"
    raw += (b"X-Pad: " + b"p" * 70 + b"\r\n") * 130_000 + b"\r\nbody\r\n"
    store(fetched(1, raw))
    message = Message.objects.get()
    assert (message.subject, message.stored_size) == ("big", len(raw))
    assert "header_too_large" in message.defects


@pytest.mark.proves("R30")
def test_a_message_the_database_refuses_is_stored_bare_and_the_rest_in_full(store, monkeypatch):
    insert = writing._insert

    def refuse(folder, messages, keys, postings):
        if any(read.subject == "Letter 6" for read, _ in messages):
            raise writing.DataError("refused by the database")
        insert(folder, messages, keys, postings)

    monkeypatch.setattr(writing, "_insert", refuse)
    assert store(*(fetched(uid) for uid in range(1, 11)), covered=UidSet([range(1, 50)])).messages == 10
    bare = Message.objects.get(subject="")
    assert (bare.uid, bare.defects) == (6, ["unreadable"])
    assert read_raw(bare) == letter(6)
    assert Folder.objects.get().stored == "1:49"


@pytest.mark.proves("T28")
def test_dates_and_orders_come_from_the_server_and_stay_within_the_calendar(store):
    store(fetched(1, b"Date: Fri, 31 Dec 9999 23:59:59 -1400\r\n\r\n"))
    message = Message.objects.get()
    assert message.received_at.year == 2026


def test_a_batch_takes_the_same_number_of_queries_whatever_its_size(store):
    store(fetched(1))
    counts = []
    for start, stop in ((10, 12), (100, 400)):
        batch = [fetched(uid, letter(uid, answers=uid // 3)) for uid in range(start, stop)]
        with CaptureQueriesContext(connection) as captured:
            store(*batch)
        counts.append(len([q for q in captured.captured_queries if "SAVEPOINT" not in q["sql"]]))
    assert counts[0] >= counts[1]


def test_a_deleted_mailbox_ends_the_sync_quietly(store, mailbox, claim: Claim):
    mailbox.delete()
    with pytest.raises(ClaimLost):
        store(fetched(1))
