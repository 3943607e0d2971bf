"""How a sync ends: came through, has to wait, or needs a person. Each ending writes only while its claim holds."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Greatest

from accounts.disconnections import tell_connected, tell_disconnected
from accounts.models import Mailbox
from mailstore import hosts
from mailstore.history import note_run
from mailstore.models import SyncSchedule
from mailstore.trouble import incoming_trouble
from mailstore.waits import backed_off, jittered
from mailstore.writing import Claim
from organizations import live
from organizations.faultpoints import faultpoint
from protocols.diagnosis import Cause, Diagnosis, Retry, Who
from protocols.endpoint import Protocol
from protocols.errors import LoginRefused, MailError

LOGIN_WAIT = timedelta(minutes=10)  # at least; a second refusal pauses the mailbox, so that no account is locked
STORAGE_WAIT = timedelta(minutes=5)
CONNECTED_EVERY = timedelta(minutes=15)
DAY = timedelta(days=1)
LOGIN_TRIES = 2
OUR_FAULT = "a fault in this program, which is in its log"
DATABASE_FAILED = "the database of this program, which broke off or took too long"
LOGIN_WAITS = "The server refused the login."

UNSTEADY_EPOCH = Diagnosis(
    code="uidvalidity_keeps_changing",
    title="The server keeps renumbering a folder",
    causes=(
        Cause(
            cause="The mail server gave all messages of a folder new numbers in several syncs in a row.",
            cure="Ask the provider to repair the folder's index, then press Sync to go on.",
            who=Who.PROVIDER,
        ),
    ),
    retry=Retry.STOP,
)


def finish(mailbox: Mailbox, claim: Claim, now: datetime, *, arrived: int, stored: int = 0) -> None:
    """The run came through: due again after the interval, or at once where somebody asked, or mail came, meanwhile."""
    due_at = now + jittered(interval(mailbox), spread=0.1)
    # The login of the watcher was refused while this run went on: the next try keeps its distance.
    refused = Mailbox.objects.filter(login_refusals__gt=0, pk=mailbox.pk).values("pk")
    keeps_distance = When(mailbox_id__in=refused, then=Value(max(due_at, now + jittered(LOGIN_WAIT))))
    asked_again = When(_since_it_began("requested_at") | _since_it_began("news_at"), then=Value(now))
    note_run(claim, now, _what_came(arrived, stored), came_through=True, arrived=arrived)
    faultpoint("run noted")
    _end(
        claim,
        finished_at=now,
        arrived=arrived,
        failures=0,
        waiting_for="",
        due_at=Case(keeps_distance, asked_again, default=Value(due_at)),
        requested_at=_what_is_new("requested_at"),
        news_at=_what_is_new("news_at"),
    )
    faultpoint("claim given back")
    _cured(mailbox, now)
    _note(mailbox)
    faultpoint("run finished")


def finish_news(mailbox: Mailbox, claim: Claim, now: datetime, *, arrived: int, changed: bool) -> bool:
    """A look at the INBOX came through: the mailbox is due when it was; False where more news or a request came
    meanwhile.
    """
    if arrived:
        note_run(claim, now, _what_came(arrived, 0), came_through=True, arrived=arrived)
    rows = SyncSchedule.objects.holding(claim.mailbox_pk, claim.fence)
    ended: dict[str, object] = {"leased_until": None} | ({"arrived": arrived} if arrived else {})
    is_all = bool(rows.filter(news_at__lte=F("started_at"), requested_at=None).update(news_at=None, **ended))
    if not is_all:
        rows.update(news_at=_what_is_new("news_at"), **ended)
    _cured(mailbox, now)
    if changed:
        _note(mailbox)
    return is_all


def needs_all(claim: Claim, now: datetime) -> None:
    """The INBOX alone does not tell: the whole mailbox is due now."""
    _end(claim, due_at=now, requested_at=F("requested_at"), news_at=None)


def _since_it_began(column: str) -> Q:
    return Q(**{f"{column}__gt": F("started_at")})


def _what_is_new(column: str) -> Case:
    """Of two marks that others make while a run goes on, keep what came after its begin."""
    return Case(When(_since_it_began(column), then=F(column)), default=None)


def _cured(mailbox: Mailbox, now: datetime) -> None:
    """What was wrong with reading before this run is not any more. What delivery says about sending stays."""
    if mailbox.attention is None and mailbox.disconnected_at is None:
        return
    about_reading = Q(attention__protocol__isnull=True) | ~Q(attention__protocol=Protocol.SMTP.value)
    with transaction.atomic():
        Mailbox.objects.filter(about_reading, pk=mailbox.pk).update(attention=None, attention_since=None)
        if mailbox.disconnected_at is not None:
            tell_connected(mailbox, now)


def go_on_later(mailbox: Mailbox, claim: Claim, now: datetime, *, why: str = "Used up its time") -> None:
    """The run ended with messages still to fetch: another worker may go on at once."""
    note_run(claim, now, f"{why}; the next sync goes on where it ended", came_through=True)
    _end(claim, due_at=now, failures=0, waiting_for="", requested_at=F("requested_at"))
    _note(mailbox)


def connected(mailbox: Mailbox, now: datetime) -> None:
    """The login worked: what was wrong before is cured. Noted now and then while it goes on to work."""
    noted_at = mailbox.connected_at
    if mailbox.login_refusals or noted_at is None or now - noted_at >= CONNECTED_EVERY:
        Mailbox.objects.filter(pk=mailbox.pk).update(connected_at=now, login_refusals=0)
    hosts.reached(mailbox.imap_host, now)


def fail(mailbox: Mailbox, claim: Claim, error: MailError, now: datetime) -> None:
    """A conversation with the server failed: wait, or tell the owner, as the doctor's rule for it says."""
    if mailbox.incoming() is None:
        _end(claim, due_at=now + DAY)
        return
    diagnosis = incoming_trouble(mailbox, error)
    hosts.learn(mailbox.imap_host, error, diagnosis.title, now, lasted=_lasted(claim, now))
    if isinstance(error, LoginRefused):
        _login_refused(mailbox, claim, diagnosis, now)
        return
    note_run(claim, now, diagnosis.title)
    failures = _failures(claim) + 1
    once_later_is_over = diagnosis.retry is Retry.ONCE_LATER and failures > 1
    if diagnosis.retry is Retry.STOP or once_later_is_over:
        _end(claim, due_at=now + jittered(DAY), failures=failures, waiting_for="")
        _needs_attention(mailbox, diagnosis, now)
        return
    wait = {Retry.NEXT_DAY: DAY, Retry.ONCE_LATER: LOGIN_WAIT}.get(diagnosis.retry) or backed_off(failures)
    _end(claim, due_at=now + jittered(wait), failures=failures, waiting_for=diagnosis.title[:300])
    _note(mailbox)


def refused_to_watch(mailbox_pk: int, now: datetime) -> None:
    """The server refused a login beside the sync, such as the watcher's: that was the first try, and a sync makes the
    second in its time.
    """
    with transaction.atomic():
        if not Mailbox.objects.filter(pk=mailbox_pk, login_refusals=0).update(login_refusals=1):
            return
        later = now + jittered(LOGIN_WAIT)
        SyncSchedule.objects.filter(mailbox_id=mailbox_pk).update(
            due_at=Greatest("due_at", Value(later)), failures=F("failures") + 1, waiting_for=LOGIN_WAITS
        )


def storage_full(mailbox: Mailbox, claim: Claim, sentence: str, now: datetime) -> None:
    """Nothing is lost: what was not stored is still on the server and not in the cursor."""
    note_run(claim, now, sentence)
    _end(claim, due_at=now + jittered(STORAGE_WAIT), failures=_failures(claim) + 1, waiting_for=sentence[:300])
    _note(mailbox)


def broke(mailbox: Mailbox, claim: Claim, words: str, now: datetime) -> None:
    """Our own code or database failed; the log has the details. Try again, but not at once and for ever."""
    failures = _failures(claim) + 1
    note_run(claim, now, words[0].upper() + words[1:])
    waiting_for = f"{words}. The next try is on its way."
    _end(claim, due_at=now + jittered(backed_off(failures)), failures=failures, waiting_for=waiting_for)
    _note(mailbox)


def pause(mailbox: Mailbox, claim: Claim, diagnosis: Diagnosis, now: datetime) -> None:
    """Stop for good and tell the owner; nothing more happens until a person acts."""
    note_run(claim, now, diagnosis.title)
    _end(claim, due_at=now, waiting_for="")
    _needs_attention(mailbox, diagnosis, now, paused_at=now)


def _what_came(arrived: int, stored: int) -> str:
    if arrived:
        return f"{arrived:,} new message{'' if arrived == 1 else 's'}"
    if stored:  # older mail, such as what the first download brings
        return f"{stored:,} message{'' if stored == 1 else 's'} downloaded"
    return "Nothing new"


def interval(mailbox: Mailbox) -> timedelta:
    """The time between two syncs of a mailbox (spec E10)."""
    return timedelta(minutes=mailbox.sync_interval or mailbox.organization.sync_interval)


def _login_refused(mailbox: Mailbox, claim: Claim, diagnosis: Diagnosis, now: datetime) -> None:
    with transaction.atomic():
        claim.hold(now)
        Mailbox.objects.filter(pk=mailbox.pk).update(login_refusals=F("login_refusals") + 1)
        refusals = Mailbox.objects.values_list("login_refusals", flat=True).get(pk=mailbox.pk)
        if refusals >= LOGIN_TRIES:
            pause(mailbox, claim, diagnosis, now)
            return
        note_run(claim, now, diagnosis.title)
        _end(claim, due_at=now + jittered(LOGIN_WAIT), failures=_failures(claim) + 1, waiting_for=diagnosis.title[:300])
    _note(mailbox)


def _end(claim: Claim, **changes: object) -> None:
    """Give the claim back. A newer claim, or a deleted mailbox, is left alone."""
    ended: dict[str, object] = {"leased_until": None, "folder_name": "", "requested_at": None}
    SyncSchedule.objects.holding(claim.mailbox_pk, claim.fence).update(**(ended | changes))


def _needs_attention(mailbox: Mailbox, diagnosis: Diagnosis, now: datetime, **changes: object) -> None:
    with transaction.atomic():
        Mailbox.objects.filter(pk=mailbox.pk).update(
            attention=diagnosis.as_json(), attention_since=mailbox.attention_since or now, **changes
        )
        tell_disconnected(mailbox, diagnosis, now)
    _note(mailbox)


def _note(mailbox: Mailbox) -> None:
    live.announce(mailbox.organization_id, "mailbox", mailbox.pk)


def _failures(claim: Claim) -> int:
    rows = SyncSchedule.objects.holding(claim.mailbox_pk, claim.fence)
    return rows.values_list("failures", flat=True).first() or 0


def _lasted(claim: Claim, now: datetime) -> timedelta:
    rows = SyncSchedule.objects.holding(claim.mailbox_pk, claim.fence)
    started_at = rows.values_list("started_at", flat=True).first()
    return now - started_at if started_at else timedelta()
