"""What people decide about mail on its way, and what becomes of mail of which nobody knows."""

from __future__ import annotations

import imaplib
from datetime import timedelta

import time_machine
from django.utils import timezone

from accounts.sessions import smtp_session
from delivery import cancelling, deciding, tasks
from delivery.deciding import About
from delivery.ledger import take_back
from delivery.models import Attempt, OutboxMessage
from delivery.states import State
from tests.delivery.kill_points.scenarios.world import World, all_sent, beat_in, scenario

SENT_OR_CANCELLED = frozenset({State.SENT, State.CANCELLED})


def lose(world: World, *, taken: bool) -> OutboxMessage:
    """Queue one mail, and let its worker vanish behind the mark of the final dot: the server has `taken` it or not."""
    message = world.queue("bob", undo_period=timedelta(seconds=10))
    now = timezone.now() + timedelta(seconds=11)
    attempt = Attempt.objects.begin(message.pk, now)
    assert attempt is not None
    assert attempt.mark_final_dot(now)
    if taken:
        with smtp_session(world.mailbox) as session:
            to = [recipient.address for recipient in message.recipients.all()]
            [reply] = session.submit(message.envelope_sender, to, message.raw, before_final_dot=lambda: None)
            assert reply.accepted
    assert take_back(attempt.pk, now)
    return message


def lost(world: World) -> About:
    """What the page showed when its reader decided: the attempt in which the answer was lost."""
    return About(seen=world.message().attempts.order_by("pk").values_list("pk", flat=True)[0])


@scenario("sent again when nobody knew", all_sent("bob"), before=lambda world: lose(world, taken=False))
def _(world: World) -> None:
    deciding.send_again(world.message(), world.author, timezone.now(), lost(world))


@scenario("decided that it was sent", all_sent("bob"), before=lambda world: lose(world, taken=True), files=True)
def _(world: World) -> None:
    deciding.mark_sent(world.message(), world.author, timezone.now(), lost(world))


def _lose_and_file(world: World) -> None:
    """As where the server files sent mail itself."""
    message, mailbox = lose(world, taken=True), world.mailbox
    with imaplib.IMAP4("127.0.0.1", mailbox.imap_port) as client:
        client.login(mailbox.address, mailbox.password.reveal())
        client.append("Sent", "", "", message.raw)


@scenario("looked for, and found in Sent", all_sent("bob"), before=_lose_and_file, files=True)
def _(world: World) -> None:
    look_in(2, 20)


def _lose_and_prefer_twice(world: World) -> None:
    lose(world, taken=False)
    type(world.mailbox).objects.filter(pk=world.mailbox.pk).update(retries_uncertain=True)


@scenario("looked for in vain, and sent again as the mailbox wants", all_sent("bob"), before=_lose_and_prefer_twice)
def _(world: World) -> None:
    look_in(2, 20, 45, 150)


def look_in(*minutes: int) -> None:
    """Let beat look for what is uncertain after so many minutes each."""
    began = timezone.now()
    for each in minutes:
        with time_machine.travel(began + timedelta(minutes=each)):
            tasks.look_for_uncertain()


def _queue_with_undo(world: World) -> None:
    world.queue("bob", "carol", undo_period=timedelta(seconds=10))


def _cancel(world: World) -> None:
    message = world.message()
    cancelled = cancelling.cancel(message, world.author, timezone.now())
    assert cancelled or cancelling.why_not_cancelled(message)


def _leave(world: World) -> None:
    beat_in(timedelta(minutes=1))


EITHER = dict.fromkeys(("bob", "carol"), SENT_OR_CANCELLED)
scenario("taken back while it leaves", EITHER, before=_queue_with_undo, again=_cancel)(_leave)
scenario("leaves while it is taken back", EITHER, before=_queue_with_undo, again=_leave)(_cancel)
