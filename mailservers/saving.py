"""Storing and deleting mail servers, for the dialogs and the API alike (spec B2, B8)."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.http import HttpRequest

from mailservers import recent_checks
from mailservers.forms import NAME_TAKEN, MailServerForm
from mailservers.models import MailServer
from organizations import audit, live
from organizations.models import User


def save_server(form: MailServerForm, user: User, request: HttpRequest) -> MailServer | None:
    """Store what the valid form holds; a check of exactly these values that was made lately counts as its own.

    None where somebody took the name at the same moment; the form says so.
    """
    is_new, changed = form.instance.pk is None, sorted(form.changed_data)
    found = recent_checks.recall(user, form.endpoint(), form.credentials())
    try:
        with transaction.atomic():
            server = form.save()
    except IntegrityError:
        if form.name_is_taken(name := form.cleaned_data["name"]):
            form.add_error("name", NAME_TAKEN.format(name=name))
            return None
        server = form.save()  # another one was made the default at the same moment; now that one gives way
    if found is not None and not form.is_as_stored:
        server.note_check(found[0], max(found[1], server.changed_at or found[1]))
    audit.record(
        "mailserver.created" if is_new else "mailserver.changed",
        organization=user.organization,
        actor=user,
        target=server,
        detail={"fields": changed},
        request=request,
    )
    live.announce(user.organization_id, "mailserver", server.pk)
    return server


def delete_server(server: MailServer, user: User, request: HttpRequest) -> None:
    """Linked mailboxes stay, without an outgoing part."""
    pk = server.pk
    audit.record(
        "mailserver.deleted",
        organization=user.organization,
        actor=user,
        target=server,
        detail={"mailboxes": server.mailboxes.count()},
        request=request,
    )
    server.delete()
    live.announce(user.organization_id, "mailserver", pk)
