"""Addresses of images that stand within a message (cid: links, RFC 2392; threats T12 and T18).

The frame that shows a message has no origin of its own, so its requests carry no cookies. The address itself says for
whom it was made, is signed, and ends soon; whether that person may still read the message is asked at every fetch.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.core import signing
from django.urls import reverse
from django.utils import timezone

from mailstore.models import Message
from organizations.models import User

LIFETIME: Final = timedelta(minutes=10)
SHOWN: Final = {"image/png", "image/jpeg", "image/gif", "image/webp"}

_SALT: Final = "mailstore.inline-image"


@dataclass(frozen=True, slots=True)
class InlineImage:
    """One part of one message, as one person may see it."""

    message: Message
    path: str


def address_of(message: Message, path: str, user: User) -> str:
    """Return the signed address of a part of `message` for `user`."""
    token = signing.dumps([message.pk, path, user.pk], salt=_SALT)
    return reverse("mailstore:inline-image", args=[token])


def open_address(token: str) -> InlineImage | None:
    """Return what `token` stands for, if it is ours, still fresh, and its person still has the right to read it."""
    try:
        message_pk, path, user_pk = signing.loads(token, salt=_SALT, max_age=LIFETIME)
    except signing.BadSignature:
        return None
    user = User.objects.filter(pk=user_pk, is_active=True).first()
    if user is None:
        return None
    message = Message.objects.live().readable_by(user, timezone.now()).filter(pk=message_pk).first()
    return InlineImage(message, path) if message is not None else None
