"""What is wrong with a way out, for all who use it: told to people, noted for the other workers, and taken back."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from accounts.disconnections import tell_connected, tell_disconnected
from accounts.models import Mailbox
from delivery.hindrances import Hindrance
from delivery.models import OutboxMessage, OutboxRecipient
from delivery.retrying import NEXT_DAY, ONCE_LATER, SLOWED_AFTER, pause_after
from delivery.states import State
from delivery.ways import Way, clock, unreachable
from mailservers.circuits import Circuit
from notifications.kinds import Kind
from notifications.telling import tell as notify
from organizations import live
from organizations.holders import holders_of
from organizations.operations import Operation
from protocols.diagnosis import Diagnosis, Retry
from protocols.endpoint import Protocol

log = logging.getLogger(__name__)

BETWEEN_FAILURES = timedelta(seconds=30)  # so that a moment without network does not open a circuit
BETWEEN_QUOTA_TRIES = timedelta(hours=1)  # at least, whatever runs out of time meanwhile
LOST_AT_MOST = 2  # answers in a row, before a pause


def tell(mailbox: Mailbox, diagnosis: Diagnosis, now: datetime) -> None:
    """Put it on the mailbox's card, where nothing else stands there, and tell its people."""
    attention = diagnosis.as_json() | {"protocol": Protocol.SMTP.value}
    untold = Mailbox.objects.filter(pk=mailbox.pk, attention__isnull=True)
    with transaction.atomic():
        if untold.update(attention=attention, attention_since=now):
            tell_disconnected(mailbox, diagnosis, now)
    live.announce(mailbox.organization_id, "mailbox", mailbox.pk)


def pause(mailbox: Mailbox, diagnosis: Diagnosis, now: datetime) -> None:
    """Pause a mailbox whose own credentials are refused, and tell its people (spec D4)."""
    attention = diagnosis.as_json() | {"protocol": Protocol.SMTP.value}
    active = Mailbox.objects.filter(pk=mailbox.pk, paused_at=None)
    with transaction.atomic():
        if active.update(paused_at=now, attention=attention, attention_since=now):
            tell_disconnected(mailbox, diagnosis, now)
    live.announce(mailbox.organization_id, "mailbox", mailbox.pk)


def cured(mailbox: Mailbox) -> None:
    """Its way out works: take from its card what was told about that, and tell its people."""
    if mailbox.attention:  # perhaps told through another login, or by the refusal of a shared one
        told = Mailbox.objects.filter(pk=mailbox.pk, attention__protocol=Protocol.SMTP.value)
        if told.update(attention=None, attention_since=None):
            tell_connected(mailbox, timezone.now())
            live.announce(mailbox.organization_id, "mailbox", mailbox.pk)
        mailbox.attention = None  # of this look at it; once is enough
    elif mailbox.disconnected_at is not None and not mailbox.imap_host:
        tell_connected(mailbox, timezone.now())  # new credentials took the trouble off the card before
        mailbox.disconnected_at = None


def reached(way: Way) -> None:
    """The server answered and took the login: its circuit is closed, and whoever was told that is told this."""
    if Circuit.objects.note_success(way.organization_pk, way.endpoint):
        log.info("%s answers again; what waited for it goes on.", way.endpoint)
        if way.server is not None:
            for mailbox in Mailbox.objects.filter(mail_server=way.server, attention__protocol=Protocol.SMTP.value):
                cured(mailbox)
        _announce(way)


def unreached(way: Way, words: str, now: datetime) -> Hindrance:
    """Nobody answered, or the line broke before the login: count it; the others wait without being tried."""
    circuit = Circuit.objects.note_failure(way.organization_pk, way.endpoint, words, now)
    if circuit.opened_at is None:
        return Hindrance(f"{way.endpoint} could not be reached: {words}", now + BETWEEN_FAILURES)
    if circuit.opened_at == now:
        log.warning("%s could not be reached %s times in a row; its mail waits.", way.endpoint, circuit.failures)
    _announce(way)
    return unreachable(circuit, now)


def unfit(way: Way, mailbox: Mailbox, diagnosis: Diagnosis, now: datetime) -> Hindrance:
    """What answers takes no mail from us, whatever the message: a web server, no login or protection offered, "554".

    It may pass, as a restart does, so it counts as not reached. Once that has happened several times in a row, who can
    mend it is told, once, with the cause and the next step.
    """
    hindrance = unreached(way, _with_cure(diagnosis), now)
    since = Circuit.objects.to(way.organization_pk, way.endpoint).open().values_list("opened_at", flat=True).first()
    if since is not None:
        tell(mailbox, diagnosis, now)
        tell_administrators(way, diagnosis, f"unfit-{since.timestamp():.6f}", now)
    return hindrance


def unanswered(way: Way, now: datetime) -> Hindrance | None:
    """The answer to a whole message was lost. A Hindrance where that happened to the one before, too.

    Each further one would be uncertain as well. After the pause a single one tells whether the server answers again.
    """
    lost = way.route.count_put_off()
    wait = pause_after(lost + SLOWED_AFTER - LOST_AT_MOST)
    return None if wait is None else _hold(way, f"{way.endpoint} hangs up instead of answering", now + wait)


def put_off(way: Way, diagnosis: Diagnosis, now: datetime) -> Hindrance | None:
    """The server put off a message for a reason that is not the message's. A Hindrance when the others wait too.

    A used-up quota holds the login for a day, too many logins for some minutes; other words of that kind only when they
    are repeated for several messages in a row, and then longer each time.
    """
    slowed = way.route.count_put_off()
    if diagnosis.retry is Retry.NEXT_DAY:
        return _hold(way, diagnosis.title, _next_day(way, now))
    wait = ONCE_LATER if diagnosis.retry is Retry.ONCE_LATER else pause_after(slowed)
    return None if wait is None else _hold(way, diagnosis.title, now + wait)


def _hold(way: Way, why: str, until: datetime) -> Hindrance:
    hindrance = Hindrance(f"{why.rstrip('.')}; it goes on at {clock(until)}.", until)
    way.route.hold(until, hindrance.note)
    log.warning("%s holds the mail of %s until %s: %s", way.endpoint, way.route, until, why)
    return hindrance


def _next_day(way: Way, now: datetime) -> datetime:
    """In a day; earlier where the time of something that waits ends before, since its last try is due then."""
    waiting = OutboxRecipient.objects.filter(
        state__in=(State.QUEUED, State.SENDING), message__in=way.route.behind(OutboxMessage.objects.all())
    )
    soon = waiting.filter(expires_at__gt=now + BETWEEN_QUOTA_TRIES, expires_at__lt=now + NEXT_DAY)
    ends: datetime | None = soon.order_by("expires_at").values_list("expires_at", flat=True).first()
    return ends or now + NEXT_DAY


def tell_administrators(way: Way, diagnosis: Diagnosis, occasion: str, now: datetime) -> None:
    """Of a shared server: tell who manages mail servers, once for each `occasion`, however many workers meet it."""
    server = way.server
    if server is None:
        return
    notify(
        holders_of(Operation.MANAGE_MAIL_SERVERS, server.organization_id),
        Kind.MAILBOX_DISCONNECTED,
        title=f"The mail server “{server}” needs attention",
        text=_with_cure(diagnosis),
        url=reverse("email-settings"),
        key=f"mail-server-{server.pk}-{occasion}",
        now=now,
    )


def _with_cure(diagnosis: Diagnosis) -> str:
    cure = diagnosis.causes[0].cure if diagnosis.causes else ""
    return f"{diagnosis.title.rstrip('.')}. {cure}".strip()


def _announce(way: Way) -> None:
    if way.server is not None:
        live.announce(way.organization_pk, "mailserver", way.server.pk)
