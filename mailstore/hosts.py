"""Which server takes one more sync: a cap for each, and a circuit breaker for those that do not answer (fault R26).

A server that answered lately takes up to SYNCS_PER_HOST syncs at once, the last quarter of them only for what somebody
waits for: first downloads of many mailboxes must not keep anybody's new mail back. One that is new, or was silent the
last time, is *in doubt*: it takes one at a time, and all servers in doubt together take at most a fifth of the slots.
After a few silent tries in a row it is left alone for a while, longer each time, and its mailboxes wait with it.

The answer is exact: who asks holds the server's row until the claim is made.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.models import Mailbox
from mailstore.models import LEASE, Comparison, MailHost, SyncSchedule
from mailstore.waits import backed_off, jittered
from protocols.errors import CertificateRefused, DestinationRefused, MailError, Unreachable
from protocols.steps import StepName

KEPT_FREE: Final = 4  # one place of so many at a server is for what somebody waits for
SHARE: Final = 5  # servers in doubt get one slot of so many
LEFT_ALONE_AFTER: Final = 3  # silent tries in a row
GOOD_FOR: Final = timedelta(days=1)  # how long an answer speaks for a server
LOGIN_GOOD_FOR: Final = timedelta(hours=1)  # and a login to one mailbox, such as in the wizard
NOTE_EVERY: Final = timedelta(minutes=1)
_BEFORE_AN_ANSWER = (StepName.DNS, StepName.TCP, StepName.TLS, StepName.GREETING)


def admit(mailbox: Mailbox, now: datetime, *, asked: bool) -> bool:
    """Tell whether a sync or a comparison of `mailbox` may begin; for a server in doubt, take a lane. Call in a
    transaction, and claim in the same one: until its end nobody else is admitted to this server.

    asked: somebody waits for it, so a server that is left alone is tried all the same.
    """
    host = _locked(mailbox.imap_host)
    running_here = _running_at(host.name, now)
    if not _in_doubt(host, mailbox, now):
        return running_here < _most_at_once(asked=asked)
    left_alone = host.retry_at is not None and host.retry_at > now and not asked
    if running_here or left_alone or not _has_free_lane(now):
        return False
    MailHost.objects.filter(pk=host.pk).update(busy_until=now + LEASE)
    return True


def may_be_admitted(now: datetime) -> Q:
    """A first look for whoever chooses among schedule rows; `admit` decides."""
    running = Counter(_running(now))
    full = [name for name, number in running.items() if number >= _most_at_once(asked=False)]
    good = Q(mailbox__imap_host__in=_good(now).values("name"))
    vouched = Q(mailbox__connected_at__gt=now - LOGIN_GOOD_FOR)
    silent = MailHost.objects.filter(failures__gt=0).values("name")
    trusted = good | (vouched & ~Q(mailbox__imap_host__in=silent))
    if _lanes_taken(now) >= lanes():
        return trusted & ~Q(mailbox__imap_host__in=full)
    left_alone = Q(mailbox__imap_host__in=MailHost.objects.filter(retry_at__gt=now).values("name"))
    occupied = ~trusted & Q(mailbox__imap_host__in=list(running))
    return ~Q(mailbox__imap_host__in=full) & ~occupied & (~left_alone | Q(requested_at__isnull=False))


def reached(name: str, now: datetime) -> None:
    """The server answered. Mailboxes that waited for that are due."""
    host = MailHost.objects.filter(name=name).first()
    if host is None:
        return
    is_news = host.failures or host.busy_until or host.retry_at
    if not is_news and host.reached_at is not None and now - host.reached_at < NOTE_EVERY:
        return
    MailHost.objects.filter(pk=host.pk).update(reached_at=now, failures=0, retry_at=None, busy_until=None, words="")
    if host.words:
        _waiting_for(host).update(due_at=now, waiting_for="")


def failed(name: str, words: str, now: datetime, *, lasted: timedelta) -> None:
    """A try found the server silent, after `lasted`. Its other mailboxes need not find out one by one."""
    with transaction.atomic():
        host = MailHost.objects.select_for_update().filter(name=name).first()
        if host is None:
            return
        failures, retry_at = host.failures + 1, None
        if failures >= LEFT_ALONE_AFTER:
            retry_at = now + jittered(backed_off(failures - LEFT_ALONE_AFTER + 1))
            _let_wait(name, words[:300], now, until=retry_at)
        MailHost.objects.filter(pk=host.pk).update(
            failures=failures,
            retry_at=retry_at,
            busy_until=now + _rest(lasted),
            words=words[:300] if retry_at else "",
        )


def learn(name: str, error: MailError, words: str, now: datetime, *, lasted: timedelta) -> None:
    """A try that ended in `error` found the server silent, or answering in one way or another."""
    if is_silence(error):
        failed(name, words, now, lasted=lasted)
    else:
        reached(name, now)


def leave_lane(name: str) -> None:
    """Nobody tries the server any more, and nothing was learned of it."""
    MailHost.objects.filter(name=name).update(busy_until=None)


def is_silence(error: MailError) -> bool:
    """Whether `error` says that a server does not answer at all, whoever asks."""
    unproven = CertificateRefused | DestinationRefused
    return isinstance(error, Unreachable) and not isinstance(error, unproven) and error.step in _BEFORE_AN_ANSWER


def lanes() -> int:
    """How many servers in doubt may be tried at once."""
    return max(1, int(settings.SYNC_SLOTS) // SHARE)


def _most_at_once(*, asked: bool) -> int:
    """Syncs at one server that answers."""
    most = int(settings.SYNCS_PER_HOST)
    return most if asked else most - most // KEPT_FREE


def _locked(name: str) -> MailHost:
    """The row of a server, which nobody else can lock before this transaction ends."""
    rows = MailHost.objects.select_for_update()
    host = rows.filter(name=name).first()
    if host is None:
        MailHost.objects.get_or_create(name=name)
        host = rows.get(name=name)
    return host


def _in_doubt(host: MailHost, mailbox: Mailbox, now: datetime) -> bool:
    if host.failures:
        return True
    answered = host.reached_at is not None and host.reached_at > now - GOOD_FOR
    vouched = mailbox.connected_at is not None and mailbox.connected_at > now - LOGIN_GOOD_FOR
    return not (answered or vouched)


def _running_at(name: str, now: datetime) -> int:
    """Syncs and comparisons at a server."""
    return sum(other == name for other in _running(now, mailbox__imap_host=name))


def _running(now: datetime, **only: str) -> list[str]:
    """The server of each sync and each comparison that goes on: as many as there are workers, in one query."""
    syncs = SyncSchedule.objects.running(now).filter(**only).order_by()
    comparisons = Comparison.objects.running(now).filter(**only).order_by()
    column = "mailbox__imap_host"
    return list(syncs.values_list(column, flat=True).union(comparisons.values_list(column, flat=True), all=True))


def _good(now: datetime) -> QuerySet[MailHost]:
    return MailHost.objects.filter(failures=0, reached_at__gt=now - GOOD_FOR)


def _has_free_lane(now: datetime) -> bool:
    """Exact, since all who ask wait here for each other."""
    _locked(MailHost.LANES)
    return _lanes_taken(now) < lanes()


def _lanes_taken(now: datetime) -> int:
    return MailHost.objects.filter(busy_until__gt=now).count()


def _rest(lasted: timedelta) -> timedelta:
    """How long a lane rests after a silent try, where a single slot is more than a fifth of all."""
    return lasted * max(0.0, SHARE / max(1, int(settings.SYNC_SLOTS)) - 1)


def _let_wait(name: str, words: str, now: datetime, *, until: datetime) -> None:
    """Hold back what is due at the server and nobody waits for. A row that somebody else is changing is left to him."""
    due = SyncSchedule.objects.filter(mailbox__imap_host=name, due_at__lt=until, requested_at=None)
    free = due.exclude(leased_until__gt=now).select_for_update(skip_locked=True, of=("self",)).order_by("pk")
    pks = list(free.values_list("pk", flat=True))
    SyncSchedule.objects.filter(pk__in=pks).update(due_at=until, waiting_for=words)


def _waiting_for(host: MailHost) -> QuerySet[SyncSchedule]:
    """Mailboxes that were told to wait for the server, without a failure of their own."""
    return SyncSchedule.objects.filter(mailbox__imap_host=host.name, waiting_for=host.words, failures=0)
