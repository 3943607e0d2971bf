"""How much a download will bring, and downloading again (spec E2, E10, L1)."""

from __future__ import annotations

from django.utils import timezone
from ninja import Query, Router, Status
from pydantic import BaseModel, Field

from accounts.api import changeable_or_404, reads, visible_or_404, writes
from accounts.resources import Period
from mailservers.api import checking
from mailstore.api import refuse_send_only, sync_at
from mailstore.deletion import start_over
from mailstore.estimate import estimate_download
from mailstore.resources import SyncDocument
from organizations.calls import ApiRequest

router = Router(tags=["Mailboxes"])


class Reach(BaseModel):
    period: Period | None = Field(None, description="How far back; without it as the mailbox is set.")


class EstimateDocument(BaseModel):
    """What the server holds of that period in the folders that are downloaded."""

    period: Period
    messages: int | None = Field(description="Null: the server did not say within a few seconds.")
    size: int | None = Field(description="Octets, judged by the newest messages of each folder.")
    is_whole: bool = Field(description="False: there is more than this, in folders that were not asked in time.")
    seconds: int | None = Field(description="How long a download of all of it usually takes.")


@router.get("/mailboxes/{int:pk}/estimate", auth=reads, operation_id="mailboxes_estimate", response=EstimateDocument)
def mailboxes_estimate(request: ApiRequest, pk: int, reach: Query[Reach]) -> EstimateDocument:
    """Ask the server how much a first download brings, before it begins or before `download_period` is changed."""
    mailbox = visible_or_404(request, pk)
    refuse_send_only(mailbox)
    if reach.period is not None:
        mailbox.download_period = reach.period  # of this question only; nothing is saved
    with checking(request):
        found = estimate_download(mailbox, timezone.now())
    return EstimateDocument.model_validate(
        {
            "period": mailbox.download_period,
            "messages": found.messages if found else None,
            "size": found.size if found else None,
            "is_whole": found is not None and found.is_whole,
            "seconds": round(found.seconds) if found else None,
        }
    )


@router.post(
    "/mailboxes/{int:pk}/download-again",
    auth=writes,
    operation_id="mailboxes_download_again",
    response={202: SyncDocument},
)
def mailboxes_download_again(request: ApiRequest, pk: int) -> Status[SyncDocument]:
    """Remove the mail that is stored here and begin a new first download, as far back as `download_period` says.

    Nothing on the mail server is touched; older mail than the period does not come back.
    """
    mailbox = changeable_or_404(request, pk)
    refuse_send_only(mailbox)
    start_over(mailbox, request.user, request)
    return Status(202, sync_at(request, pk))
