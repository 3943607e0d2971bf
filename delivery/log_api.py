"""`/email-log` of the API: what the page of the log shows and does (spec I9, L1)."""

from __future__ import annotations

import hashlib
from datetime import date, datetime, timedelta
from typing import Annotated, Literal

from django.http import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import timezone
from ninja import Query, Router, Status
from pydantic import BaseModel, ConfigDict, Field

from delivery import log, log_export, log_runs
from delivery.log_filters import Filters
from delivery.log_forms import midnight
from delivery.log_keeping import LONGEST, SHORTEST, RetentionForm, store
from delivery.models import LogRetention, LogRun
from delivery.resources import OriginName, OutboxList, StateName, listed
from delivery.sending_api import IdempotencyKey
from delivery.states import Decision
from organizations.calls import (
    LARGEST_KEY,
    ApiRequest,
    Asked,
    Day,
    Listing,
    Problem,
    Text,
    form_values,
    invalid,
    invalid_form,
    needs,
    octets,
)
from organizations.operations import Operation
from organizations.paging import newest_first
from organizations.scopes import Scope

router = Router(tags=["Email log"])
reads, sends = needs(Scope.OUTBOX_READ), needs(Scope.OUTBOX_SEND)

RowKey = Annotated[int, Field(ge=1, le=LARGEST_KEY)]


class LogFilters(BaseModel):
    """The filters of the page; each narrows further."""

    state: StateName | None = Field(None, description="Any recipient in it.")
    mailbox: RowKey | None = None
    author: RowKey | None = Field(None, description="Who wrote it.")
    origin: OriginName | None = Field(None, description="Who wanted it sent.")
    q: Text = Field("", max_length=200, description="Words of the subject or a recipient; the last may be a beginning.")
    recipient: Text = Field("", max_length=320, description="A name or an address, or a part such as a domain.")
    since: Day | None = Field(None, description="First day, in your time zone.")
    until: Day | None = Field(None, description="Last day.")

    def filters(self) -> Filters:
        return Filters(
            state=self.state or "",
            mailbox_pk=self.mailbox,
            origin=self.origin or "",
            author_pk=self.author,
            text=self.q,
            recipient=self.recipient,
            since=_midnight("since", self.since),
            until=_midnight("until", self.until, days=1),
        )

    @property
    def in_words(self) -> dict[str, str]:
        """What narrows the log, for those who look at a run or at the audit log later."""
        asked = {name: getattr(self, name) for name in LogFilters.model_fields}
        return {name: str(value) for name, value in asked.items() if value not in ("", None)}


class LogListing(LogFilters, Listing):
    """Which part of the log is asked for."""


class NewRun(LogFilters):
    """A decision about all messages that the filters leave."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"decision": "try-again", "state": "failed", "expected": 12}]}
    )

    decision: Literal["resend", "try-again"] = Field(
        description="resend: the same mail to the same people, as new messages. try-again: only to those it failed for."
    )
    expected: int = Field(
        ge=1, le=log_runs.MOST, description="How many messages you take it to be about; another number is refused."
    )


class RunDocument(BaseModel):
    """A decision about many messages, and how far it is."""

    id: int
    decision: Literal["resend", "try-again"]
    author: int | None
    state: Literal["running", "finished", "stopped"]
    total: int
    place: int = Field(description="How many have had their turn.")
    done: int
    skipped: int
    reasons: dict[str, int] = Field(description="Why some were passed over, as sentences, and how many.")
    note: str
    created_at: datetime
    ended_at: datetime | None


class RunList(BaseModel):
    items: list[RunDocument]
    next: str | None = Field(description="The `cursor` of the next page; null on the last.")


class RetentionDocument(BaseModel):
    """How long outgoing mail is kept; null: for ever. What waits or is uncertain is always kept."""

    octets_days: int | None = Field(description="Days after which texts and attachments go.")
    rows_days: int | None = Field(description="Days after which the log forgets that it was sent.")


class RetentionChanges(Asked):
    """What changes; the rest stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"octets_days": 90, "rows_days": 730}]})

    octets_days: Annotated[int, Field(ge=SHORTEST, le=LONGEST)] | None = None
    rows_days: Annotated[int, Field(ge=SHORTEST, le=LONGEST)] | None = None


@router.get("/email-log", auth=reads, operation_id="email_log_list", response=OutboxList)
def email_log_list(request: ApiRequest, listing: Query[LogListing]) -> OutboxList:
    """Outgoing mail that you may know of, newest first: of your mailboxes, or of all with the operation."""
    return listed(log.search(request.user, listing.filters(), timezone.now()), listing)


@router.get(
    "/email-log/export", auth=reads, operation_id="email_log_export", response=None, openapi_extra=octets("text/csv")
)
def email_log_export(request: ApiRequest, filters: Query[LogFilters]) -> HttpResponseBase:
    """The same as a file, CSV, with a line for each recipient; sent while it is written, however long the log is."""
    return log_export.export(request, request.user, filters.filters(), filters.in_words)


@router.get("/email-log/runs", auth=reads, operation_id="email_log_runs", response=RunList)
def email_log_runs(request: ApiRequest, listing: Query[Listing]) -> RunList:
    """Decisions about many messages, newest first: yours, or all with the operation."""
    runs = LogRun.objects.visible_to(request.user).defer("keys")
    page = newest_first(runs, "created_at", listing.checked_cursor, size=listing.limit)
    return RunList(items=[_run(run) for run in page.rows], next=page.next or None)


@router.post("/email-log/runs", auth=sends, operation_id="email_log_runs_start", response={201: RunDocument})
def email_log_runs_start(request: ApiRequest, body: NewRun, idempotency_key: IdempotencyKey) -> Status[RunDocument]:
    """Send all messages that the filters leave once more, or try those that failed again, in the background.

    It is about the messages that the filters leave now. Those that you may not send, that are on their way, or of which
    nobody knows whether they arrived are passed over and counted.
    """
    now, decision = timezone.now(), Decision(body.decision)
    key = f"api:{hashlib.sha256(idempotency_key.encode()).hexdigest()[:60]}"
    if (earlier := LogRun.objects.filter(author=request.user, submission_key=key).first()) is not None:
        return Status(201, _run(earlier))
    try:
        found = log_runs.preview(request.user, decision, body.filters(), now)
    except log_runs.CannotRun as exc:
        raise invalid("", str(exc)) from exc
    if found.total != body.expected:
        raise Problem(
            409,
            "other-number",
            "It would be about another number of messages.",
            f"{found.total} messages are concerned, not {body.expected}. Nothing was done.",
            more={"number": found.total},
        )
    run = log_runs.start(request.user, decision, found.keys, body.in_words, now, submission_key=key)
    return Status(201, _run(run))


@router.get("/email-log/runs/{int:pk}", auth=reads, operation_id="email_log_run", response=RunDocument)
def email_log_run(request: ApiRequest, pk: int) -> RunDocument:
    """How far one decision about many messages is."""
    return _run(_run_or_404(request, pk))


@router.post("/email-log/runs/{int:pk}/stop", auth=sends, operation_id="email_log_run_stop", response=RunDocument)
def email_log_run_stop(request: ApiRequest, pk: int) -> RunDocument:
    """End it before the next message. What has been done stays done; one that has ended stays as it is."""
    run = _run_or_404(request, pk)
    if not log_runs.may_stop(request.user, run):
        raise Problem(403, "may-not-decide", "You may not stop this.", "Only who began it, or an administrator.")
    log_runs.stop(run, request.user, timezone.now())
    return _run(_run_or_404(request, pk))


@router.get(
    "/email-log/retention",
    auth=needs(Scope.OPTIONS_READ, Operation.MANAGE_EMAIL_ACCOUNTS),
    operation_id="email_log_retention",
    response=RetentionDocument,
)
def email_log_retention(request: ApiRequest) -> RetentionDocument:
    """How long outgoing mail is kept."""
    return RetentionDocument.model_validate(LogRetention.of(request.user.organization_id), from_attributes=True)


@router.patch(
    "/email-log/retention",
    auth=needs(Scope.OPTIONS_WRITE, Operation.MANAGE_EMAIL_ACCOUNTS),
    operation_id="email_log_retention_update",
    response=RetentionDocument,
)
def email_log_retention_update(request: ApiRequest, body: RetentionChanges) -> RetentionDocument:
    """Change how long outgoing mail is kept. What is older goes within hours, and does not come back."""
    kept = LogRetention.of(request.user.organization_id)
    form = RetentionForm(form_values(RetentionForm(instance=kept), body.sent), instance=kept)
    if not form.is_valid():
        raise invalid_form(form)
    return RetentionDocument.model_validate(store(form, request.user, request), from_attributes=True)


def _run_or_404(request: ApiRequest, pk: int) -> LogRun:
    runs = LogRun.objects.visible_to(request.user).select_related("organization").defer("keys")
    return get_object_or_404(runs, pk=pk)


def _run(run: LogRun) -> RunDocument:
    columns = RunDocument.model_fields.keys() - {"id", "author"}
    return RunDocument.model_validate(
        {name: getattr(run, name) for name in columns} | {"id": run.pk, "author": run.author_id}
    )


def _midnight(field: str, day: date | None, *, days: int = 0) -> datetime | None:
    """Where the day begins, or ends, for the person. Raises Invalid for days that no calendar here reaches."""
    if day is None:
        return None
    if not 1970 <= day.year <= 2200:
        raise invalid(field, "Name a day between 1970 and 2200.")
    return midnight(day + timedelta(days=days))
