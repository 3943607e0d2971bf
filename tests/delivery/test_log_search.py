"""Searching the log: every way of finding the same rows finds the same rows, and no text that is typed is a command."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from accounts.models import Mailbox, MailboxGrant, TokenMailbox
from delivery import log, log_keys, log_lists
from delivery.models import OutboxMessage
from delivery.outbox import queue_message
from delivery.states import Origin, State
from delivery.wanted import Wanted
from mailstore.words import folded_words
from organizations.models import ApiToken, OperationGrant, User
from organizations.operations import Operation
from organizations.tokens import make_token
from protocols.message.addresses import Address
from tests.delivery.moving import put

pytestmark = pytest.mark.django_db

WORDS = ["offer", "autumn", "prices", "Ämter", "règle", "offering", "2026"]
PEOPLE = ["bob@example.org", "grace.hopper@navy.example", "eva@example.org", "postmaster@sub.example.org"]
BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def written(make_message, make_mailbox, shared_mailbox, alice, bob):
    """Sixty messages of two authors from four mailboxes, one of them deleted since, in every state."""
    chance = random.Random(5)
    mailboxes = [shared_mailbox, *(make_mailbox(f"box{number}@example.org", alice) for number in range(2))]
    gone = make_mailbox("gone@example.org", alice)
    for number in range(60):
        message = make_message(
            chance.choice([*mailboxes, gone]),
            chance.choice([alice, bob]),
            *chance.sample(PEOPLE, chance.choice([1, 1, 3])),
            subject=" ".join(chance.sample(WORDS, 2)),
            origin=chance.choice([Origin.PERSON, Origin.API]),
            created_at=BEGAN + timedelta(hours=number),
        )
        for recipient in message.recipients.all():
            put(message.recipients.filter(pk=recipient.pk), chance.choice(list(State)))
    gone.delete()
    return mailboxes


def naive(user, filters: log.Filters) -> list[int]:
    """The same, read off the rows one by one."""
    return [row.pk for row in seen_by(user) if _fits(row, filters)]


def seen_by(user) -> list[OutboxMessage]:
    rows = OutboxMessage.objects.visible_to(user, timezone.now()).prefetch_related("recipients").order_by("-pk")
    return list(rows)


def _fits(row: OutboxMessage, filters: log.Filters) -> bool:
    recipients = list(row.recipients.all())
    words = [*folded_words(row.subject), *(word for one in recipients for word in folded_words(one.address))]
    wanted = folded_words(filters.text)
    whole, beginning = wanted[:-1], wanted[-1] if wanted else ""
    return all((
        not filters.state or any(one.state == filters.state for one in recipients),
        filters.mailbox_pk in (None, row.mailbox_id),
        filters.author_pk in (None, row.author_id),
        filters.origin in ("", row.origin),
        all(word in words for word in whole),
        any(word.startswith(beginning) if len(beginning) > 2 else word == beginning for word in [*words, ""]),
        not filters.recipient or any(_holds(one.address, filters.recipient) for one in recipients),
        filters.since is None or row.created_at >= filters.since,
        filters.until is None or row.created_at < filters.until,
    ))  # fmt: skip


def _holds(address: str, part: str) -> bool:
    return f" {' '.join(folded_words(part))} " in f" {' '.join(folded_words(address))} "


@pytest.mark.proves("I9")
@pytest.mark.parametrize(
    ("short", "few"), [(20_000, 20), (8, 20), (0, 20), (0, 0)], ids=["short", "some", "long", "many"]
)
def test_every_way_of_finding_them_finds_the_same_messages(written, alice, bob, charlie, monkeypatch, short, few):
    monkeypatch.setattr(log_lists, "SHORT", short)
    monkeypatch.setattr(log_keys, "FEW", few)
    OperationGrant.objects.create(operation=Operation.VIEW_EMAIL_LOGS, user=charlie)
    rows = {user: seen_by(user) for user in (alice, bob, charlie)}
    chance = random.Random(11)
    found = 0
    for _ in range(60):
        filters = log.Filters(
            state=chance.choice(["", "", *State]),
            mailbox_pk=chance.choice([None, None, written[0].pk]),
            origin=chance.choice(["", "", "api", "notice"]),
            author_pk=chance.choice([None, None, bob.pk]),
            text=chance.choice(["", "", "offer", "AUTUMN pri", "amter", "regle org", "of", "2026 bob"]),
            recipient=chance.choice(["", "", "", "grace.hopper@navy.example", "example.org", "hopper navy", "sub"]),
            since=chance.choice([None, None, BEGAN + timedelta(hours=20)]),
            until=chance.choice([None, None, BEGAN + timedelta(hours=45)]),
        )
        for user in rows:
            search = log.search(user, filters, timezone.now())
            expected = [row.pk for row in rows[user] if _fits(row, filters)]
            found += len(expected)
            assert search.keys(100) == expected, filters
            assert _walked(search) == expected, filters
            if len(expected) > 4:
                assert search.keys(3, before=expected[4]) == expected[1:4], filters
    assert found > 300


def _walked(search: log.Search) -> list[int]:
    keys, last = [], None
    while some := search.keys(7, after=last):
        keys, last = keys + some, some[-1]
    return keys


@pytest.mark.proves("I9", "F3")
def test_a_token_for_one_mailbox_searches_in_no_other(written, alice):
    alice.token = _token(alice, written[0])
    for filters in (log.Filters(), log.Filters(text="offer"), log.Filters(state="failed")):
        keys = log.search(alice, filters, timezone.now()).keys(100)
        assert keys == naive(alice, filters)
        assert set(OutboxMessage.objects.filter(pk__in=keys).values_list("mailbox_id", flat=True)) <= {written[0].pk}


def _token(user: User, mailbox: Mailbox) -> ApiToken:
    """A token that is bound to one mailbox."""
    token, _ = make_token(user, "One", [], now=timezone.now(), expires_at=None)
    ApiToken.objects.filter(pk=token.pk).update(only_mailboxes=True)
    TokenMailbox.objects.create(token=token, mailbox=mailbox)
    token.refresh_from_db()
    return token


@pytest.mark.proves("I9")
def test_a_blind_recipient_is_found_too(make_mailbox, alice):
    mailbox = make_mailbox("alice@example.org", alice, smtp_host="smtp.example.org")
    blind, open_ = Address("", "blind@hidden.example"), Address("Robert Müller", "bob@example.org")
    message = queue_message(
        Wanted(author=alice, mailbox=mailbox, to=[open_], bcc=[blind], subject="Hi", text="x", submission_key="1")
    )
    for wanted in ("blind@hidden.example", "hidden", "muller", "Robert Müller"):
        assert log.search(alice, log.Filters(recipient=wanted), timezone.now()).keys(5) == [message.pk]
    together = log.search(alice, log.Filters(recipient="example.org blind"), timezone.now())
    assert together.keys(5) == []  # of two recipients


@pytest.mark.proves("I9")
@pytest.mark.parametrize("filters", [{"state": "failed"}, {"text": "autumn"}, {"since": BEGAN}, {}])
def test_a_search_takes_as_many_queries_however_long_the_log_is(
    written, make_message, shared_mailbox, alice, filters, assert_queries
):
    def look() -> None:
        log.page(log.search(alice, log.Filters(**filters), timezone.now()))

    def grow() -> None:
        for _ in range(30):
            make_message(shared_mailbox, alice, "x@example.org", "y@example.org", subject="Autumn again")

    assert_queries.constant(look, grow)


def test_a_grant_that_ends_takes_the_mail_out_of_the_search(written, bob):
    filters = log.Filters(text="offer")
    assert log.search(bob, filters, timezone.now()).keys(50) == naive(bob, filters)
    MailboxGrant.objects.filter(user=bob).delete()
    left = log.search(bob, filters, timezone.now()).keys(50)
    assert left == naive(bob, filters)
    assert set(OutboxMessage.objects.filter(pk__in=left).values_list("author_id", flat=True)) == {bob.pk}


@pytest.mark.proves("T27")
def test_whatever_is_typed_is_only_looked_for(written, alice):
    chance = random.Random(3)
    signs = [
        '"',
        "'",
        "*",
        "(",
        ")",
        ":",
        "-",
        "^",
        "+",
        "%",
        "_",
        "\\",
        "\0",
        "\n",
        " ",
        "NEAR",
        "AND",
        "NOT",
        "{",
        "&",
    ]
    letters = [
        *signs,
        "offer",
        "ä",
        "ß",
        "İ",
        "中文",
        "\u202e",
        "🙂",
        "ﬁ",
        "\ud7ff",
        "a" * 3000,
        "subject_words",
        "'::text",
    ]
    for number in range(250):
        text = "".join(chance.choices(letters, k=chance.randint(1, 12)))
        keys = log.search(alice, log.Filters(text=text), timezone.now()).keys(50)
        assert isinstance(keys, list), (number, text)
        assert log.search(alice, log.Filters(recipient=text), timezone.now()).keys(50) is not None
    assert log.search(alice, log.Filters(text='"%*'), timezone.now()).keys(50) == []
    assert OutboxMessage.objects.count() == 60


def test_the_index_agrees_with_the_rows_after_changes_and_deletions(written, alice):
    OutboxMessage.objects.filter(pk__in=list(OutboxMessage.objects.values_list("pk", flat=True)[:7])).delete()
    OutboxMessage.objects.order_by("pk").update(subject_words=" changed ")
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO delivery_outboxwords (delivery_outboxwords) VALUES ('integrity-check')")
    changed, before = log.Filters(text="changed"), log.Filters(text="autumn")
    assert log.search(alice, changed, timezone.now()).keys(100) == naive(alice, log.Filters())
    assert log.search(alice, before, timezone.now()).keys(100) == []


def test_what_keeps_the_index_up_comes_back_with_the_next_migration(written, alice, make_message, shared_mailbox):
    """SQLite drops triggers with the table that a migration builds anew; PostgreSQL keeps its index by itself."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            for name in ("come", "leave", "change"):
                cursor.execute(f"DROP TRIGGER delivery_outboxwords_{name}")
    call_command("migrate", verbosity=0)
    later = make_message(shared_mailbox, alice, "x@example.org", subject="Zeppelin")
    assert log.search(alice, log.Filters(text="zeppelin"), timezone.now()).keys(5) == [later.pk]
    later.delete()
    assert log.search(alice, log.Filters(text="zeppelin"), timezone.now()).keys(5) == []
