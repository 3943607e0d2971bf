"""`/mailboxes/{id}/reconciliation`: what is on the server, what is stored, and why the rest is not (spec G6, L1)."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from ninja import Router, Status
from pydantic import BaseModel, Field

from accounts.api import changeable_or_404, reads, writes
from accounts.models import Mailbox
from accounts.settings_audit import note_reading
from mailstore.api import refuse_send_only
from mailstore.models import ComparedMessage
from mailstore.reconciliation import Line, Share, ask, reconcile
from organizations.calls import ApiRequest
from organizations.scopes import Scope

router = Router(tags=["Mailboxes"])


class ShareDocument(BaseModel):
    reason: str = Field(
        description="On the server only: period, not_chosen, left_out, refused, lost, hidden, no_room, waiting, "
        "renumbered. Here only: guarded, gone, renumbered."
    )
    words: str
    messages: int


class ReconciledFolder(BaseModel):
    """One folder. Where it was compared, `on_server` is `stored` plus the sum of `skipped`."""

    folder: int
    name: str
    is_compared: bool = Field(description="False: the numbers are those of the last sync.")
    on_server: int | None = Field(description="Null where it is not known.")
    stored: int
    skipped: list[ShareDocument] = Field(description="On the server only.")
    only_here: list[ShareDocument]
    hidden: int = Field(description="Messages that left the server and are hidden here.")
    hidden_since: datetime | None = Field(description="Since when the first of them is.")
    words: str
    looked_at: datetime | None


class Difference(BaseModel):
    """A message that is on one side only."""

    folder: int
    uid: int
    reason: str
    date: datetime | None
    subject: str | None = Field(description="Null for tokens without `messages:read`, and who may not read the mail.")


class ReconciliationDocument(BaseModel):
    """The account of a mailbox, as it was last taken."""

    is_running: bool
    folder: str = Field(description="What a running comparison looks at.")
    done: int = Field(description="Folders.")
    total: int = Field(description="Folders.")
    trouble: str = Field(description="Why the last comparison did not come through; else empty.")
    compared_at: datetime | None
    sentence: str = Field(description="The sum of the mailbox in words; empty before the first comparison.")
    on_server: int
    stored: int
    skipped: list[ShareDocument]
    only_here: list[ShareDocument]
    folders: list[ReconciledFolder]
    differences: list[Difference] = Field(description="The first hundred.")


@router.get(
    "/mailboxes/{int:pk}/reconciliation",
    auth=reads,
    operation_id="mailboxes_reconciliation",
    response=ReconciliationDocument,
)
def mailboxes_reconciliation(request: ApiRequest, pk: int) -> ReconciliationDocument:
    """On the server, stored, skipped and why, per folder and for the mailbox."""
    mailbox = changeable_or_404(request, pk)
    note_reading(request, mailbox, request.user)
    return _document(request, mailbox)


@router.post(
    "/mailboxes/{int:pk}/reconciliation",
    auth=writes,
    operation_id="mailboxes_reconcile",
    response={202: ReconciliationDocument},
)
def mailboxes_reconcile(request: ApiRequest, pk: int) -> Status[ReconciliationDocument]:
    """Compare every message with the server now. It changes nothing there; GET tells how far it is, and the result."""
    mailbox = changeable_or_404(request, pk)
    refuse_send_only(mailbox)
    ask(mailbox, by=request.user, now=timezone.now(), request=request)
    return Status(202, _document(request, mailbox))


def _document(request: ApiRequest, mailbox: Mailbox) -> ReconciliationDocument:
    now = timezone.now()
    account = reconcile(mailbox)
    row = account.comparison
    may_read = Mailbox.objects.readable_by(request.user, now).filter(pk=mailbox.pk).exists()
    with_subjects = may_read and Scope.MESSAGES_READ in request.auth.scopes
    return ReconciliationDocument(
        is_running=row is not None and row.is_under_way(now),
        folder=row.folder_name if row else "",
        done=row.done if row else 0,
        total=row.total if row else 0,
        trouble=row.trouble if row else "",
        compared_at=row.compared_at if row else None,
        sentence=account.sentence if account.is_compared else "",
        on_server=account.on_server,
        stored=account.stored,
        skipped=_shares(account.skipped),
        only_here=_shares(account.only_here),
        folders=[_folder(line) for line in account.lines],
        differences=[_difference(message, with_subject=with_subjects) for message in account.named],
    )


def _folder(line: Line) -> ReconciledFolder:
    return ReconciledFolder(
        folder=line.folder.pk,
        name=line.folder.name,
        is_compared=line.is_compared,
        on_server=line.on_server,
        stored=line.stored,
        skipped=_shares(line.skipped),
        only_here=_shares(line.only_here),
        hidden=line.hidden,
        hidden_since=line.hidden_since,
        words=line.words,
        looked_at=line.looked_at,
    )


def _shares(shares: tuple[Share, ...]) -> list[ShareDocument]:
    return [ShareDocument(reason=each.reason.value, words=each.words, messages=each.messages) for each in shares]


def _difference(message: ComparedMessage, *, with_subject: bool) -> Difference:
    return Difference(
        folder=message.compared.folder_id,
        uid=message.uid,
        reason=message.reason,
        date=message.dated,
        subject=message.subject if with_subject else None,
    )
