"""Automatic answers leave without a sender; where a server takes none without, under the mailbox's own address."""

from __future__ import annotations

import pytest

from delivery.models import OutboxMessage, OutboxRecipient
from delivery.states import Automatic, State
from delivery.tasks import submit_message
from mailservers.rulebook import load_rules
from tests.delivery.conftest import states

pytestmark = [pytest.mark.django_db, pytest.mark.proves("I8", "T24")]


@pytest.fixture
def answer(make_message, sending_mailbox, alice) -> OutboxMessage:
    return make_message(sending_mailbox, alice, automatic=Automatic.REPLIED, has_null_sender=True)


@pytest.fixture
def only_with_a_sender(sink):
    """The server refuses `MAIL FROM:<>` with these words."""
    usual = sink.handle_MAIL

    def refuse(words: str) -> None:
        async def handle(server, session, envelope, address, options):
            return words if address in ("", "<>") else await usual(server, session, envelope, address, options)

        sink.handle_MAIL = handle

    return refuse


def test_where_the_server_takes_it_an_answer_leaves_with_the_null_sender(answer, sink):
    submit_message(answer.pk)
    assert [taken.sender for taken in sink.taken] == ["<>"]


@pytest.mark.parametrize(
    "words", ["550 5.7.1 Null sender is not allowed", "501 5.1.7 Bad sender address", "553 5.7.1 Sender not owned"]
)
@pytest.mark.parametrize("loaded", [True, False])
def test_a_server_that_takes_none_without_a_sender_gets_it_from_the_mailbox_at_once(
    answer, sink, only_with_a_sender, words, loaded
):
    if loaded:
        load_rules()
    only_with_a_sender(words)
    submit_message(answer.pk)
    assert states(answer) == {"bob@example.org": State.SENT}
    assert [taken.sender for taken in sink.taken] == ["alice@example.org"]
    refused, sent = answer.attempts.all()
    assert refused.explanation["code"] == "null-sender-refused"
    assert "alice@example.org" in refused.explanation["causes"][0]["cure"]
    assert (refused.text, refused.phase) == (words, "sender")
    assert sent.was_taken
    assert OutboxRecipient.objects.get().tries == 0


def test_a_server_that_refuses_the_mailbox_too_has_said_its_last_word(answer, sink):
    load_rules()
    sink.mail = "550 5.7.1 No"
    submit_message(answer.pk)
    assert states(answer) == {"bob@example.org": State.FAILED}
    assert answer.attempts.count() == 2


@pytest.mark.parametrize("words", ["451 4.3.0 Try again", "552 5.3.4 Message size exceeds fixed limit"])
def test_what_has_nothing_to_do_with_the_sender_leaves_it_null(answer, sink, words):
    load_rules()
    sink.mail = words
    submit_message(answer.pk)
    answer.refresh_from_db()
    assert answer.has_null_sender
    assert answer.attempts.count() == 1
