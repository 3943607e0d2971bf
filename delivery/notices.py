"""Mailing what people are told and want by mail (spec A7).

It leaves through the organization's default account, as a row of the outbox that is written in the transaction which
marks the notifications as mailed: each is in one mail, whatever crashes. Where there is no default account, or it is
broken, account mail takes it (A5); that one is marked before it leaves, so that a crash loses a mail and never doubles
it. What is told stands under the bell in any case.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import Min
from django.template.loader import render_to_string
from django.urls import reverse

from accounts.models import Mailbox
from delivery import suppression
from delivery.hindrances import waiting_for_login
from delivery.outbox import CannotBeQueued, enqueue, frozen_row
from delivery.refusals import MustNotGo
from delivery.senders import AS_USUAL, decide_for
from delivery.states import Automatic, Kind, Origin, Priority
from notifications.models import Notification
from organizations import account_mail
from organizations.account_mail import AccountMailFailed
from organizations.models import User
from protocols.errors import LoginRefused, OutcomeUnknown, Refused
from protocols.message.addresses import Address
from protocols.message.build import OutgoingMessage
from protocols.message.identity import new_message_id

log = logging.getLogger(__name__)

MOST_PEOPLE = 200  # in one run; the next one goes on
MOST_AT_ONCE = 1000  # notifications in one mail
LISTED = 20  # of them by name; the mail says how many more there are
AUTOMATIC = (("Auto-Submitted", "auto-generated"),)  # RFC 3834: nobody's autoresponder answers
FIRST_WAIT = timedelta(minutes=10)  # after account mail failed; then as long again as it has waited
GIVE_UP_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Line:
    title: str
    text: str
    link: str


@dataclass(frozen=True, slots=True)
class Letter:
    """What stands in one mail. more: how many notifications it does not name."""

    subject: str
    lines: list[Line]
    more: int
    list_link: str
    choices_link: str


def due(now: datetime) -> list[int]:
    """Keys of the people for whom something waits to be mailed, who waits longest first."""
    waiting = Notification.objects.awaiting_mail().filter(mail_due_at__lte=now)
    people = waiting.order_by().values("user").annotate(first=Min("mail_due_at")).order_by("first", "user")
    return list(people.values_list("user", flat=True)[:MOST_PEOPLE])


def mail(user_pk: int, now: datetime) -> bool:
    """Put all that waits for one person into one mail; a second run finds nothing. False: account mail is broken."""
    person = User.objects.select_related("organization").filter(pk=user_pk).first()
    if person is None:
        return True
    with transaction.atomic():
        waiting = Notification.objects.of(person).awaiting_mail().select_for_update()
        told = list(waiting.order_by("-at", "-pk")[:MOST_AT_ONCE])
        if not told:
            return True
        mine = Notification.objects.filter(pk__in=[notification.pk for notification in told])
        if not person.is_active or suppression.among(person.organization_id, [person.email]):
            mine.update(mail_due_at=None)
            return True
        try:
            key = _queue(person, told, now)
        except MustNotGo as exc:
            mine.update(mail_due_at=exc.again_at)
            return True
        if key:
            mine.update(mailed_at=now, mail_key=key)
            return True
        mine.update(mailed_at=now, mail_key=Notification.ACCOUNT_MAIL)
    return _send_by_account_mail(person, told, now)


def working_default_account(organization_pk: int, now: datetime) -> Mailbox | None:
    """The default account, None where there is none or where it could not send now."""
    related = Mailbox.objects.select_related("mail_server__provider", "provider", "owner")
    account = related.filter(organization_id=organization_pk, is_default=True).first()
    if account is None or not account.can_send or account.attention or account.paused_at is not None:
        return None
    if account.owner is not None and not account.owner.is_active:
        return None
    return None if waiting_for_login(account, now) else account


def letter_about(told: Sequence[Notification]) -> Letter:
    """`told`: newest first, at least one."""
    return Letter(
        subject=told[0].title if len(told) == 1 else f"{len(told)} notifications",
        lines=[
            Line(
                notification.title,
                "" if notification.manner.is_private else notification.text,
                _absolute("notifications:open", notification.pk),
            )
            for notification in told[:LISTED]
        ],
        more=max(0, len(told) - LISTED),
        list_link=_absolute("notifications:list"),
        choices_link=_absolute("notifications:settings"),
    )


def _absolute(name: str, *args: object) -> str:
    return settings.PUBLIC_URL + reverse(name, args=args)


def _queue(person: User, told: Sequence[Notification], now: datetime) -> str:
    """Write the mail into the outbox of the default account; return its key, or "" where another way has to be taken.

    Raises MustNotGo where the person got as much automatic mail as one gets within a day: the next one tells it all.
    What failed there before is not tried there again.
    """
    if any(notification.mail_key == Notification.ACCOUNT_MAIL for notification in told):
        return ""
    account = working_default_account(person.organization_id, now)
    if account is None:
        return ""
    letter = letter_about(told)
    values = {"letter": letter, "person": person}
    sender = decide_for(account, AS_USUAL, by_policy=False)
    draft = OutgoingMessage(
        from_=sender.from_,
        to=(Address(person.name, person.email),),
        subject=letter.subject,
        text=render_to_string("delivery/mail/notices.txt", values).strip() + "\n",
        html=render_to_string("delivery/mail/notices.html", values),
        message_id=new_message_id(account.address.rpartition("@")[2]),
        date=now.astimezone(ZoneInfo(person.time_zone)),
        headers=AUTOMATIC,
        language="en",
    )
    try:
        message = frozen_row(account, draft, sender)
        message.origin, message.priority = Origin.NOTICE, Priority.PROGRAM
        message.automatic = Automatic.GENERATED
        message.submission_key = f"notices-{max(notification.pk for notification in told)}"
        return enqueue(message, [(person.email, Kind.TO)], now).submission_key
    except MustNotGo:
        raise
    except CannotBeQueued as exc:
        log.warning("Notices for user %s cannot leave by the default account: %s", person.pk, exc)
        return ""


def _send_by_account_mail(person: User, told: Sequence[Notification], now: datetime) -> bool:
    """Waits for the network. Comes back later where nothing left; an unknown outcome counts as sent."""
    values = {"letter": letter_about(told), "person": person}
    try:
        account_mail.send("notices", to=(person.name, person.email), organization=person.organization, context=values)
    except AccountMailFailed as exc:
        log.warning("Notices for user %s did not leave by account mail: %s", person.pk, exc)
        _put_off(told, now, cause=exc.__cause__)
        return False
    return True


def _put_off(told: Sequence[Notification], now: datetime, *, cause: BaseException | None) -> None:
    if isinstance(cause, OutcomeUnknown):
        return
    waited = now - min(notification.at for notification in told)
    refused = isinstance(cause, Refused) and not isinstance(cause, LoginRefused)
    again_at = None if refused or waited > GIVE_UP_AFTER else now + max(FIRST_WAIT, waited)
    marked = Notification.objects.filter(pk__in=[one.pk for one in told], mailed_at=now)
    marked.update(mailed_at=None, mail_due_at=again_at)
