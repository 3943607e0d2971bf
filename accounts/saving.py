"""Storing and deleting email accounts and their signatures, for pages and the API alike (spec E4, E9, E12)."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.http import HttpRequest

from accounts import signature
from accounts.mailbox_form import MailboxForm
from accounts.models import Mailbox
from accounts.rich_text import RichTextRefused
from accounts.signature_form import SignatureForm
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


def save_signature(form: SignatureForm, mailbox: Mailbox, user: User, request: HttpRequest) -> bool:
    """Clean and store what the valid form holds, and record it; False with an error on the form where it is refused."""
    try:
        signature.save(mailbox, form.cleaned_data["html"], is_on=form.cleaned_data["is_on"])
    except RichTextRefused as exc:
        form.add_error("html", str(exc))
        return False
    audit.record(
        "mailbox.signature_changed",
        organization=user.organization,
        actor=user,
        target=mailbox,
        request=request,
    )
    return True
