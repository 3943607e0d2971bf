"""Conversations come together in whatever order their messages do."""

from __future__ import annotations

from itertools import permutations

import pytest

from mailstore.models import Conversation, Folder, Listing, Message, ThreadKey
from tests.mailstore.receiving.letters import fetched, letter, make_folder, placed

pytestmark = pytest.mark.django_db

QUESTION = letter(1, subject="Lunch?")
ANSWER = letter(2, subject="Re: Lunch?", answers=1)
THANKS = letter(3, subject="Re: Lunch?", answers=2)


def shape() -> list[list[int]]:
    """UIDs by conversation."""
    return sorted(
        sorted(conversation.messages.values_list("uid", flat=True)) for conversation in Conversation.objects.all()
    )


@pytest.mark.parametrize("order", list(permutations([1, 2, 3])))
@pytest.mark.parametrize("at_once", [True, False])
def test_a_thread_comes_together_in_any_order(store, order, at_once):
    letters = {1: QUESTION, 2: ANSWER, 3: THANKS}
    batch = [fetched(uid, letters[uid]) for uid in order]
    if at_once:
        store(*batch)
    else:
        for message in batch:
            store(message)
    assert shape() == [[1, 2, 3]]
    listing = Listing.objects.get()
    assert (listing.message_count, listing.newest.uid) == (3, 3)


def test_a_message_that_ties_two_conversations_together_merges_them_in_every_folder(store, mailbox, inbox):
    sent = make_folder(mailbox, "Sent", special_use=Folder.SpecialUse.SENT)
    store(fetched(1, letter(1)))
    store(fetched(1, letter(2)), folder=sent)
    assert len(shape()) == 2
    store(fetched(9, letter(9, extra="References: <1@example.com> <2@example.com>\r\n")))
    assert Conversation.objects.count() == 1
    counts = dict(Listing.objects.values_list("folder__name", "message_count"))
    assert counts == {"INBOX": 2, "Sent": 1}
    assert set(ThreadKey.objects.values_list("conversation", flat=True)) == {Conversation.objects.get().pk}


def test_letters_without_message_id_stay_apart(store):
    raw = b"From: a@example.com\r\nSubject: Same\r\n\r\nx"
    store(fetched(1, raw), fetched(2, raw))
    assert shape() == [[1], [2]]


def test_strangers_with_the_same_subject_stay_apart(store):
    store(fetched(1, letter(1, subject="Invoice")), fetched(2, letter(2, subject="Invoice")))
    assert shape() == [[1], [2]]


def test_two_mailboxes_never_share_a_conversation(store, make_mailbox, alice, inbox):
    from django.utils import timezone

    from mailstore.models import SyncSchedule
    from mailstore.packs import PackWriter
    from mailstore.writing import Claim, store_batch

    store(fetched(1, QUESTION))
    other = make_mailbox("other@example.org", alice)
    fence = SyncSchedule.objects.claim(other.pk, timezone.now())
    folder = make_folder(other, "INBOX")
    with PackWriter(other.pk, fence) as packs:
        store_batch(folder, placed(packs, fetched(1, ANSWER)), claim=Claim(other.pk, fence), packs=packs)
    assert Conversation.objects.count() == 2
    assert not Message.objects.filter(mailbox=other, conversation__mailbox=inbox.mailbox).exists()


def test_a_list_shows_short_names_newest_last_and_counts_unread(store):
    store(
        fetched(1, letter(1, sender="Carol Jones <carol@example.com>"), r"\Seen"),
        fetched(2, letter(2, answers=1, sender='"Liddell, Alice" <alice@example.org>')),
        fetched(3, letter(3, answers=2, sender="bob@example.org")),
    )
    listing = Listing.objects.get()
    assert (listing.senders, listing.unread_count) == ("Carol, Alice, bob", 2)
