"""What people are told about (spec A7)."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import models


class Kind(models.TextChoices):
    MAILBOX_DISCONNECTED = "mailbox_disconnected", "An email account needs attention"
    MAILBOX_CONNECTED = "mailbox_connected", "An email account works again"
    MESSAGE_FAILED = "message_failed", "A message of yours was not sent"
    MESSAGE_UNCERTAIN = "message_uncertain", "A message of yours was possibly sent"

    @property
    def manner(self) -> Manner:
        return MANNERS[self]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a kind is shown and passed on.

    state:      of the emblem: bad, warn or good.
    about:      one sentence for whoever decides about mails.
    by_mail:    whether it is also mailed, unless the person decided otherwise.
    is_private: the text quotes mail of the person. It stays out of mails, since others may read the account that
                sends them; the title never quotes any.
    """

    icon: str
    state: str
    about: str
    by_mail: bool
    is_private: bool


MANNERS: dict[Kind, Manner] = {
    Kind.MAILBOX_DISCONNECTED: Manner(
        icon="unplug",
        state="bad",
        about="It was disconnected, and nothing happens until somebody acts. For accounts you own or look after.",
        by_mail=True,
        is_private=False,
    ),
    Kind.MAILBOX_CONNECTED: Manner(
        icon="plug",
        state="good",
        about="It was disconnected, and is connected again.",
        by_mail=False,
        is_private=False,
    ),
    Kind.MESSAGE_FAILED: Manner(
        icon="mail-x",
        state="bad",
        about="At least one of its recipients did not get it, and it is not tried again by itself.",
        by_mail=True,
        is_private=True,
    ),
    Kind.MESSAGE_UNCERTAIN: Manner(
        icon="mail-question-mark",
        state="warn",
        about="The server's answer was lost, and you decide what happens.",
        by_mail=True,
        is_private=True,
    ),
}
