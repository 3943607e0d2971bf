"""The messages of one conversation in the order people read them, each shown once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.db.models import Prefetch

from mailstore.models import Attachment, Conversation, Message
from mailstore.opening import OpenedMessage, open_body

MOST_SHOWN: Final = 50
MOST_AT_ONCE: Final = 500  # where an older message was asked for
MOST_OPENED: Final = 8  # bodies are read from the disk; the others open when somebody asks


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """One message of the reading pane. `body` is None where it is folded: then its page brings it when unfolded."""

    message: Message
    body: OpenedMessage | None

    @property
    def sender(self) -> str:
        return self.message.from_name or self.message.from_address or "Unknown sender"

    @property
    def recipients(self) -> list[tuple[str, str]]:
        """(name or address, address) of everybody in To and Cc."""
        return [(name or address, address) for name, address in self.message.to]

    @property
    def to_whom(self) -> str:
        """ "to Alice, Bob and 3 others"."""
        names = [name for name, _ in self.recipients]
        if len(names) > 4:
            return f"to {', '.join(names[:3])} and {len(names) - 3} others"
        return f"to {', '.join(names)}" if names else ""


@dataclass(frozen=True, slots=True)
class Thread:
    """Part of a conversation, oldest first; earlier: how many messages stand before it."""

    messages: list[ShownMessage]
    earlier: int

    @property
    def newest(self) -> Message | None:
        return self.messages[-1].message if self.messages else None


def show_conversation(
    conversation: Conversation, *, folder_pk: int | None = None, before: int | None = None, wanted: int | None = None
) -> Thread:
    """Show up to `MOST_SHOWN` live messages across all folders of the mailbox, the newest ones or those before one.

    folder_pk: where a message lies in several folders, the copy in this one is shown.
    before:    key of the message that stands below what is asked for.
    wanted:    key of a message that is shown open, such as the one that a search found.

    The newest message and those nobody has read are open, at most `MOST_OPENED`.
    """
    order = _each_once(conversation, folder_pk, wanted)
    if before is not None:
        order = order[: order.index(before)] if before in order else []
    shown = order[-MOST_SHOWN:]
    if wanted is not None and wanted in order and wanted not in shown:
        shown = order[order.index(wanted) :][:MOST_AT_ONCE]
    messages = _messages(shown)
    opened = _to_open(messages, wanted=wanted, with_newest=before is None)
    return Thread(
        [ShownMessage(message, open_body(message) if message.pk in opened else None) for message in messages],
        len(order) - len(shown),
    )


def show_message(message: Message) -> ShownMessage:
    """One message alone, open."""
    return ShownMessage(message, open_body(message))


def _each_once(conversation: Conversation, folder_pk: int | None, wanted: int | None) -> list[int]:
    """Keys in the order of reading. Copies share Message-ID, sender and subject; without a Message-ID none is one.

    Within a folder the first one stands for them: nobody replaces a message by sending another with its Message-ID.
    """
    rows = conversation.messages.live().order_by("received_at", "pk")
    chosen: dict[object, tuple[int, int]] = {}
    for pk, folder, *same in rows.values_list("pk", "folder_id", "message_id", "from_address", "subject"):
        name = tuple(same) if same[0] else pk
        first = chosen.get(name)
        preferred = first is None or (folder == folder_pk != first[1] and first[0] != wanted)
        if preferred or pk == wanted:
            chosen[name] = (pk, folder)
    return [pk for pk, _ in chosen.values()]


def _messages(keys: Sequence[int]) -> list[Message]:
    rows = Message.objects.filter(pk__in=keys).select_related("folder", "mailbox")
    found = {row.pk: row for row in rows.prefetch_related(Prefetch("attachments", Attachment.objects.all()))}
    return [found[pk] for pk in keys if pk in found]


def _to_open(messages: Sequence[Message], *, wanted: int | None, with_newest: bool) -> set[int]:
    first = [message.pk for message in messages[-1:] if with_newest]
    asked = [message.pk for message in messages if message.pk == wanted]
    unread = [message.pk for message in reversed(messages) if not message.is_seen]
    return set([*asked, *first, *unread][:MOST_OPENED])
