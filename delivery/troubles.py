"""What is wrong with a way out, for all who use it: told to people, noted for the other workers, and taken back."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from accounts.disconnections import tell_connected, tell_disconnected
from accounts.models import Mailbox
from delivery.hindrances import Hindrance
from delivery.retrying import NEXT_DAY, ONCE_LATER, pause_after
from delivery.ways import Way, clock, unreachable
from mailservers.circuits import Circuit
from organizations import live
from protocols.diagnosis import Diagnosis, Retry
from protocols.endpoint import Protocol

log = logging.getLogger(__name__)

BETWEEN_FAILURES = timedelta(seconds=30)  # so that a moment without network does not open a circuit


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
    """The server answered and took the login: its circuit is closed."""
    if Circuit.objects.note_success(way.organization_pk, way.endpoint):
        log.info("%s answers again; what waited for it goes on.", way.endpoint)
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


def put_off(way: Way, diagnosis: Diagnosis, now: datetime) -> Hindrance | None:
    """The server put off a message for a reason that is not the message's. A Hindrance when the others wait too.

    A used-up quota holds the login for a day, too many logins for some minutes; other words of that kind only when they
    are repeated for several messages in a row, and then longer each time.
    """
    slowed = way.route.count_put_off()
    if diagnosis.retry is Retry.NEXT_DAY:
        wait: timedelta | None = NEXT_DAY
    elif diagnosis.retry is Retry.ONCE_LATER:
        wait = ONCE_LATER
    else:
        wait = pause_after(slowed)
    if wait is None:
        return None
    hindrance = Hindrance(f"{diagnosis.title.rstrip('.')}; it goes on at {clock(now + wait)}.", now + wait)
    way.route.hold(now + wait, hindrance.note)
    log.warning("%s holds the mail of %s for %s: %s", way.endpoint, way.route, wait, diagnosis.code)
    return hindrance


def _announce(way: Way) -> None:
    if way.server is not None:
        live.announce(way.organization_pk, "mailserver", way.server.pk)
