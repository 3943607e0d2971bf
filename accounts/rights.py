"""What one may do with a mailbox (spec F1, F2), and the one HTTP translation of it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone

from organizations.operations import Operation

if TYPE_CHECKING:
    from accounts.models import Mailbox
    from organizations.models import User


class Right(StrEnum):
    """The owner holds all three; administrators get no silent bypass."""

    ACCESS = "access"  # its mail in search, timelines and records
    SEND = "send"  # choose it in From, see it in the mail panel
    SETUP = "setup"  # change its settings, never read its password

    @property
    def label(self) -> str:
        """The words of the tick (spec F1)."""
        return {"access": "Access emails", "send": "Send emails", "setup": "Setup mailbox"}[self.value]


def mailbox_or_404(user: User, pk: int, right: Right) -> Mailbox:
    """Return the mailbox; 404 if `user` cannot even see it, 403 if only `right` is missing."""
    from accounts.models import Mailbox

    now = timezone.now()
    mailbox = get_object_or_404(Mailbox.objects.visible_to(user, now), pk=pk)
    if not Mailbox.objects.allowing(right, user, now).filter(pk=pk).exists():
        raise PermissionDenied
    return mailbox


def showing_signature_or_404(user: User, pk: int) -> Mailbox:
    """A mailbox whose signature `user` may see: by sending from it, or by changing its settings."""
    from accounts.models import Mailbox

    now = timezone.now()
    senders, setters = Mailbox.objects.allowing(Right.SEND, user, now), Mailbox.objects.manageable_by(user, now)
    mailbox = senders.filter(pk=pk).first() or setters.filter(pk=pk).first()
    if mailbox is None:
        raise Http404("There is no such mailbox.")
    return mailbox


def may_switch_downloads_on(user: User, mailbox: Mailbox) -> bool:
    """Whether `user`, who may change `mailbox`, may also let it download by itself (spec F1).

    What is shared already downloads for others too, which needs an operation of its own. Switching off needs none.
    """
    return not mailbox.is_shared or user.may(Operation.SYNCHRONISE_SHARED_MAILBOXES)
