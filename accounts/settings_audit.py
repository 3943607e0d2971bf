"""What the audit log keeps beyond changes: looks at another person's settings, and tests of mailboxes (spec A8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.http import HttpRequest

from accounts.models import Mailbox
from mailservers.checking import CheckReport
from mailservers.streaming import Line
from organizations import audit
from organizations.models import AuditEntry, User


def note_reading(request: HttpRequest, mailbox: Mailbox, user: User) -> None:
    """Only of a person's own mailbox, and only where somebody else looks; changing and testing speak for themselves."""
    if request.method == "GET" and mailbox.owner_id not in (None, user.pk):
        audit.record(
            "mailbox.settings_read", organization=mailbox.organization, actor=user, target=mailbox, request=request
        )


def noting_check(
    request: HttpRequest, mailbox: Mailbox | None, user: User
) -> Callable[[list[CheckReport]], list[Line]]:
    """What a live check does at its end."""

    def note(reports: list[CheckReport]) -> list[Line]:
        note_check(request, mailbox, user, reports)
        return []

    return note


def note_check(request: HttpRequest, mailbox: Mailbox | None, user: User, reports: Sequence[CheckReport]) -> None:
    """One entry that says whether every part worked. mailbox: None where the values are not saved."""
    works = all(report.ok for report in reports)
    audit.record(
        "mailbox.checked",
        organization=user.organization,
        actor=user,
        target=mailbox,
        outcome=AuditEntry.Outcome.DONE if works else AuditEntry.Outcome.FAILED,
        request=request,
    )
