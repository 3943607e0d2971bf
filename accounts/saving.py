"""Storing and deleting email accounts, for the dialogs and the API alike (spec E4, E12)."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.http import HttpRequest

from accounts.mailbox_form import MailboxForm
from accounts.models import Mailbox
from organizations import audit
from organizations.models import User


def save_mailbox(form: MailboxForm, user: User, request: HttpRequest) -> bool:
    """Save what the valid form holds and record it; False with an error on the form when another was quicker."""
    is_new = form.instance.pk is None
    try:
        with transaction.atomic():
            mailbox = form.save()
            audit.record(
                "mailbox.created" if is_new else "mailbox.changed",
                organization=user.organization,
                actor=user,
                target=mailbox,
                detail={"fields": sorted(form.changed_data)},
                request=request,
            )
    except IntegrityError:
        form.add_error(None, "Somebody else saved an account at the same moment. Press the button once more.")
        return False
    return True


def delete_mailbox(mailbox: Mailbox, user: User, request: HttpRequest) -> None:
    """Delete it here, with all that is stored of it. Nothing on the mail server is touched."""
    with transaction.atomic():
        audit.record(
            "mailbox.deleted",
            organization=user.organization,
            actor=user,
            target=mailbox,
            detail={"messages": mailbox.messages.count()},
            request=request,
        )
        mailbox.delete()
