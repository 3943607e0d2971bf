"""Telling the server what readers changed: the one place that opens a folder for writing (spec G5; R32, R33).

One connection for all open changes of a mailbox, one command for all that are alike. Rights are asked for again here: a
wish of somebody who lost them is taken back. No transaction is open while we talk.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts.models import Mailbox
from accounts.sessions import imap_session
from mailstore import flag_changes, place_changes, runs, settling, waits
from mailstore.models import Change, ChangeQueue
from mailstore.settling import QueueClaim, QueueLost
from mailstore.trouble import incoming_trouble
from organizations.models import User
from protocols.diagnosis import Retry
from protocols.errors import LoginRefused, MailError
from protocols.imap.session import ImapSession

log = logging.getLogger(__name__)

GIVEN_UP_AFTER = timedelta(days=1)
KEPT_FOR = timedelta(days=1)  # settled changes: so long they can be undone
REFUSED_KEPT_FOR = timedelta(days=30)
BEGUN = (Change.State.MOVING, Change.State.COPIED)
ROUNDS = 20  # in one run: a reader may go on while we work

NO_RIGHT = "The right to change mail of this account has ended."
UNREACHED = "The mail server could not be reached for a day."


def carry_out(mailbox_pk: int, fence: int) -> None:
    """Carry out the open changes of a mailbox under the claim `fence`, and settle when it is due again.

    What the server refuses is taken back on the screen, with a sentence for whoever asked. Only faults of our own are
    raised.
    """
    mailbox = Mailbox.objects.select_related("organization", "provider", "owner").filter(pk=mailbox_pk).first()
    if mailbox is None:
        return
    claim = QueueClaim(mailbox_pk, fence)
    try:
        _take_back_what_may_not_be(mailbox, claim)
        if not Change.objects.open().filter(mailbox=mailbox).exists():
            _end(claim)
        elif mailbox.login_refusals or mailbox.paused_at is not None:
            _end(claim, wait=runs.LOGIN_WAIT)  # the next sync tries the login; a third try could lock the account
        else:
            with imap_session(mailbox) as session:
                _all(mailbox, claim, session)
            _end(claim)
    except QueueLost:
        log.info("The changes of mailbox %s were taken over by a newer claim.", mailbox_pk)
    except MailError as exc:
        log.info("Changes of mailbox %s wait: %s", mailbox_pk, type(exc).__name__)
        _failed(mailbox, claim, exc)
    except Exception:
        _end(claim, wait=waits.backed_off(_failures(claim) + 1), failed=True)
        raise


def _all(mailbox: Mailbox, claim: QueueClaim, session: ImapSession) -> None:
    """What was begun first, then flags, then moves: a flag is set where the message lies now."""
    tried: set[tuple[int, UUID]] = set()

    def untried(**conditions: object) -> list[Change]:
        rows = Change.objects.open().filter(mailbox=mailbox, **conditions).order_by("pk")
        related = rows.select_related("message__folder", "source", "target", "sent_to", "mailbox")
        changes = [change for change in related if (change.pk, change.batch) not in tried]
        tried.update((change.pk, change.batch) for change in changes)
        return changes

    for _ in range(ROUNDS):
        before = len(tried)
        place_changes.carry_out(claim, session, untried(kind=Change.Kind.PLACE, state__in=BEGUN))
        flag_changes.carry_out(claim, session, untried(kind__in=Change.COLUMNS))
        place_changes.carry_out(claim, session, untried(kind=Change.Kind.PLACE, state=Change.State.WAITING))
        if len(tried) == before:
            return


def _take_back_what_may_not_be(mailbox: Mailbox, claim: QueueClaim) -> None:
    """Take back wishes of people without the right, those that grew old, and all where the account is not in use.

    What was begun on the server is ended all the same: half of a move would be two copies.
    """
    if mailbox.paused_at is not None or (mailbox.owner is not None and not mailbox.owner.is_active):
        why = f"This account is paused. {(mailbox.attention or {}).get('title', '')}"
        settling.take_back(claim, _waiting(mailbox), why.strip())
        return
    now = timezone.now()
    settling.take_back(claim, [c for c in _waiting(mailbox) if c.at <= now - GIVEN_UP_AFTER], UNREACHED)
    by_person: dict[User | None, list[Change]] = defaultdict(list)
    for change in _waiting(mailbox):
        by_person[change.by].append(change)
    for user, changes in by_person.items():
        if user is None or not Mailbox.objects.in_panel_of(user, now).filter(pk=mailbox.pk).exists():
            settling.take_back(claim, changes, NO_RIGHT)


def _failed(mailbox: Mailbox, claim: QueueClaim, error: MailError) -> None:
    """The whole conversation failed: wait, or take everything back, as the doctor's rule for it says."""
    if mailbox.incoming() is None:
        settling.take_back(claim, _waiting(mailbox), "This account has no incoming server any more.")
        _end(claim)
        return
    if isinstance(error, LoginRefused):
        runs.refused_to_watch(mailbox.pk, timezone.now())
        _end(claim, wait=runs.LOGIN_WAIT, failed=True)
        return
    diagnosis = incoming_trouble(mailbox, error)
    if diagnosis.retry is Retry.STOP:
        settling.take_back(claim, _waiting(mailbox), diagnosis.title)
        _end(claim, wait=waits.LONGEST_WAIT, failed=True)
        return
    wait = runs.DAY if diagnosis.retry is Retry.NEXT_DAY else waits.backed_off(_failures(claim) + 1)
    _end(claim, wait=wait, failed=True)


def _waiting(mailbox: Mailbox) -> list[Change]:
    """Changes of which the server knows nothing."""
    rows = Change.objects.filter(mailbox=mailbox, state=Change.State.WAITING)
    return list(rows.select_related("by", "message", "source", "mailbox"))


def _failures(claim: QueueClaim) -> int:
    rows = ChangeQueue.objects.holding(claim.mailbox_pk, claim.fence)
    return rows.values_list("failures", flat=True).first() or 0


def _end(claim: QueueClaim, *, wait: timedelta | None = None, failed: bool = False) -> None:
    """Give the claim back. What a reader asked for meanwhile is due at once, what failed after `wait`."""
    now = timezone.now()
    with transaction.atomic():
        row = ChangeQueue.objects.select_for_update().holding(claim.mailbox_pk, claim.fence).first()
        if row is None:
            return
        left = Change.objects.open().filter(mailbox_id=claim.mailbox_pk).exists()
        due_at = now + waits.jittered(wait or waits.FIRST_WAIT)
        ChangeQueue.objects.filter(pk=row.pk).update(
            leased_until=None, due_at=due_at if left else None, failures=row.failures + 1 if failed and left else 0
        )


def forget_settled() -> None:
    """Remove changes that nobody undoes any more, and refusals that nobody reads."""
    now = timezone.now()
    Change.objects.filter(state=Change.State.DONE, settled_at__lte=now - KEPT_FOR).delete()
    Change.objects.filter(state=Change.State.REFUSED, settled_at__lte=now - REFUSED_KEPT_FOR).delete()
