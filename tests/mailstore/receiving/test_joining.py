"""Conversations by subject, as they are stored: what the rule says, in whatever order and folder messages came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import permutations

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Mailbox
from mailstore import writing
from mailstore.models import Conversation, Folder, Listing, Message, ThreadKey
from mailstore.packs import Location
from mailstore.reading import Envelope, read_message
from protocols.message.parse import parse_summary
from protocols.message.strands import NEAREST
from protocols.message.threading import thread_messages
from tests.mailstore.receiving.letters import make_folder
from tests.protocols.message.random_mailboxes import LETTERS
from tests.protocols.message.small_mailboxes import OWN, Letter, small_mailboxes

pytestmark = pytest.mark.django_db

Parts = frozenset[frozenset[str]]


@dataclass
class Store:
    """The last steps of a batch: rows, conversations and lists, without packs and claims."""

    folders: list[Folder]
    stored: int = 0

    def put(self, letters: Iterable[Letter], folder: int = 0) -> None:
        placed = []
        for letter in letters:
            self.stored += 1
            envelope = Envelope(self.stored, frozenset(), letter.sent_at, len(letter.raw))
            placed.append((read_message(envelope, letter.raw), Location("none", self.stored, 1)))
        keys = writing.bulk.reserve_keys(Message, len(placed))
        writing._insert(self.folders[folder], placed, keys, ())


@pytest.fixture
def fresh(make_mailbox: Callable[..., Mailbox], alice) -> Callable[[], object]:
    mailbox = make_mailbox(OWN, alice)
    folders = [make_folder(mailbox, name) for name in ("INBOX", "Sent")]

    @contextmanager
    def store() -> Iterator[Store]:
        with transaction.atomic():
            yield Store(folders)
            transaction.set_rollback(True)

    return store


def parts() -> Parts:
    found: dict[int, set[str]] = {}
    for conversation, preview in Message.objects.values_list("conversation", "preview"):
        found.setdefault(conversation, set()).add(preview.removeprefix("Letter ").removesuffix("."))
    return frozenset(map(frozenset, found.values()))


def ruled(letters: list[Letter]) -> Parts:
    """What the rule makes of letters, from their octets alone."""
    threads = thread_messages([parse_summary(letter.raw) for letter in letters], own=[OWN])
    return frozenset(
        frozenset(
            letters[int(name.removeprefix("no-message-id:")) - 1].name if ":" in name else name.partition("@")[0]
            for name in thread
        )
        for thread in threads
    )


def is_whole() -> None:
    """Every row agrees with every other."""
    for conversation in Conversation.objects.all():
        shown = conversation.shown_in_id or conversation.pk
        assert (conversation.answers_id is None) == (conversation.shown_in_id is None)
        if conversation.answers is not None:
            assert shown == (conversation.answers.shown_in_id or conversation.answers_id)
        if conversation.shown_in_id is not None:
            assert not conversation.messages.exists()
            assert not conversation.listings.exists()
    for message in Message.objects.select_related("conversation", "strand"):
        assert message.strand is None or message.strand.shown_in_id == message.conversation_id
        assert message.conversation.shown_in_id is None
    listed = {(row.folder_id, row.conversation_id): row.message_count for row in Listing.objects.all()}
    counted: dict[tuple[int, int], int] = {}
    for place in Message.objects.values_list("folder", "conversation"):
        counted[place] = counted.get(place, 0) + 1
    assert listed == counted
    assert not ThreadKey.objects.filter(conversation=None).exists()


@pytest.mark.proves("G1")
@pytest.mark.parametrize("mailbox", small_mailboxes(), ids=lambda mailbox: mailbox.title)
def test_a_small_mailbox_is_stored_as_these_conversations(fresh, mailbox):
    orders = list(permutations(mailbox.letters))
    for order in {orders[0], orders[-1], orders[len(orders) // 2], orders[len(orders) // 3]}:
        with fresh() as store:
            for number, letter in enumerate(order):
                store.put([letter], folder=number % 2)
            assert parts() == mailbox.conversations
            is_whole()
    with fresh() as store:
        store.put(mailbox.letters)
        assert parts() == mailbox.conversations


@pytest.mark.proves("G1")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    letters=st.lists(LETTERS, min_size=2, max_size=7, unique_by=lambda letter: letter.name),
    breaks=st.lists(st.integers(1, 3), min_size=7, max_size=7),
    folders=st.lists(st.integers(0, 1), min_size=7, max_size=7),
    copied=st.booleans(),
)
def test_what_is_stored_is_what_the_rule_says_after_every_batch(fresh, letters, breaks, folders, copied):
    with fresh() as store:
        came: list[Letter] = []
        for size, folder in zip(breaks, folders, strict=True):
            batch = letters[len(came) : len(came) + size]
            if not batch:
                break
            store.put(batch, folder)
            came += batch
            assert parts() == ruled(came)
            is_whole()
        if copied:
            store.put([letter for letter in reversed(came) if "~" not in letter.marks], 1)
            assert parts() == ruled(came)
            is_whole()


@pytest.mark.slow
@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(letters=st.lists(LETTERS, min_size=2, max_size=8, unique_by=lambda letter: letter.name))
def test_what_is_stored_is_what_the_rule_says_one_by_one(fresh, letters):
    with fresh() as store:
        for number, letter in enumerate(letters, 1):
            store.put([letter], number % 2)
            assert parts() == ruled(letters[:number])
        is_whole()


def test_a_message_that_comes_late_moves_what_was_joined_before(fresh):
    """The reply stood beside the only conversation of its subject until what it answers came."""
    old, late = (Letter(name, "carol", ("me",), day, "Report of the week") for name, day in (("a", 1), ("b", 8)))
    reply = Letter("c", "me", ("carol",), 9, "Re: Report of the week")
    with fresh() as store:
        store.put([old])
        store.put([reply], folder=1)
        assert parts() == {frozenset("ac")}
        store.put([late])
        assert parts() == {frozenset("a"), frozenset("bc")}
        is_whole()
        shown = Listing.objects.get(folder__name="Sent")
        assert shown.conversation.messages.filter(folder__name="INBOX").get().message_id == "b@mail.example"


def test_the_answer_to_a_joined_reply_is_shown_where_that_is(fresh):
    question = Letter("a", "carol", ("me",), 1, "Plan for the new office")
    reply = Letter("b", "me", ("carol",), 2, "Re: Plan for the new office")
    answer = Letter("c", "carol", ("me",), 60, "Re: Plan for the new office", ("b",))
    with fresh() as store:
        store.put([question, reply])
        store.put([answer])
        assert parts() == {frozenset("abc")}
        assert Listing.objects.get().message_count == 3
        is_whole()


def test_a_conversation_is_named_after_its_oldest_message_whenever_that_comes(fresh):
    question = Letter("a", "carol", ("me",), 1, "Plan for the new office")
    reply = Letter("b", "me", ("carol",), 2, "Re: Plan for the new office", ("a",))
    for order in permutations([question, reply]):
        with fresh() as store:
            for letter in order:
                store.put([letter])
            assert Conversation.objects.get().subject == "Plan for the new office"


def test_answers_in_one_batch_to_different_messages_of_a_strand_are_all_noted(fresh):
    question, more, other = (
        Letter(name, "carol", ("me",), 2, "Plan", refers) for name, refers in (("a", ()), ("b", ("a",)), ("x", ()))
    )
    early = Letter("c", "me", ("carol",), 1, "Earlier", ("a",))
    late = Letter("d", "me", ("carol",), 9, "Later", ("b", "x"))
    for batch in permutations([early, late, Letter("e", "me", ("carol",), 3, "Between", ("x",))]):
        with fresh() as store:
            store.put([question, more, other])
            store.put(batch)
            assert parts() == {frozenset("abcdex")}
            strand = Conversation.objects.get()
            assert (strand.subject, (strand.ends - strand.begins) // 86_400) == ("Earlier", 8)
            is_whole()


def test_a_batch_takes_the_same_number_of_queries_however_many_it_joins(fresh):
    def queries(number: int) -> list[int]:
        questions = [Letter(f"q{n}", "carol", ("me",), 1 + n, f"Question number {n} of all") for n in range(number)]
        replies = [Letter(f"r{n}", "me", ("carol",), 2 + n, f"Re: Question number {n} of all") for n in range(number)]
        with fresh() as store:
            store.put([Letter("z", "carol", ("me",), 1, "Something else entirely")])
            counts = []
            for letters in (questions, replies):
                with CaptureQueriesContext(connection) as captured:
                    store.put(letters)
                counts.append(len(captured))
            assert Listing.objects.count() == number + 1
            return counts

    assert queries(2) == queries(12)


def test_a_thousand_alarms_with_one_subject_do_not_make_a_batch_slow(fresh):
    alarms = [
        Letter(f"m{number}", f"p{number % 5}", ("me",), 1 + number / 500, "Re: Alarm in the server room")
        for number in range(NEAREST * 10)
    ]
    with fresh() as store:
        store.put(alarms[::2])
        store.put(alarms[1::2])
        assert parts() == ruled(alarms)


def test_mail_of_before_is_read_back_when_something_comes_that_belongs_to_it(fresh):
    """Rows from before anything was noted of strands: nothing joins them until an identifier leads there."""
    question = Letter("a", "carol", ("me",), 1, "Plan for the new office")
    other = Letter("x", "dave", ("me",), 1, "Plan for the new office")
    answer = Letter("b", "me", ("carol",), 2, "Re: Plan for the new office", ("a",))
    reply = Letter("c", "carol", ("me",), 3, "Re: Plan for the new office")
    with fresh() as store:
        store.put([question, other])
        before = Conversation.objects.values_list("subject", "topic", "begins", "tie", "reach", "ends").order_by("pk")
        noted = list(before)
        Conversation.objects.update(topic=None, begins=None, tie=0, reach=0, ends=0)
        store.put([reply])
        assert parts() == {frozenset("a"), frozenset("x"), frozenset("c")}
        store.put([answer])
        assert parts() == {frozenset("abc"), frozenset("x")}
        assert before[0][:5] == noted[0][:5]
        is_whole()
