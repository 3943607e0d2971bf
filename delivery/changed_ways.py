"""Whose way out was changed need not wait for what held back the old one: a quota, a rate, a refused password.

Followed wherever accounts and mail servers are saved: in a dialog, the wizard, the API or a shell. Waits of a message's
own stay as they are: the moment that its author chose, greylisting, and the steps after it was put off.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from django.db import transaction
from django.db.models import Model, Q, QuerySet
from django.db.models.signals import post_save, pre_save
from django.utils import timezone

from accounts.models import Mailbox
from delivery.models import OutboxMessage, OutboxRecipient, Route
from delivery.states import State
from delivery.tasks import wake_route
from mailservers.circuits import Circuit
from mailservers.limits import LIMITS
from mailservers.models import MailServer
from protocols.endpoint import Endpoint

OF_MAILBOX: Final = (
    *("mail_server_id", "sends", "paused_at"),
    *("smtp_host", "smtp_port", "smtp_security", "smtp_username", "password"),
)
OF_SERVER: Final = (
    *("host", "port", "security", "username", "password", "timeout"),
    *("provider_id", "fallback_id", *LIMITS),
)
WATCHED: Final[dict[type[Model], tuple[str, ...]]] = {Mailbox: OF_MAILBOX, MailServer: OF_SERVER}
CHANGED: Final = "The settings of its way out were changed, so it is tried again."


def listen() -> None:
    for model, follow in ((Mailbox, _follow_mailbox), (MailServer, _follow_server)):
        name = model._meta.model_name
        pre_save.connect(_remember, sender=model, dispatch_uid=f"delivery.remember_{name}")
        post_save.connect(follow, sender=model, dispatch_uid=f"delivery.follow_{name}")


def _remember(
    sender: type[Model], instance: Model, raw: bool = False, update_fields: frozenset[str] | None = None, **_: object
) -> None:
    """Note what the row says before the save. The sealed password is compared as it is stored, never opened."""
    names = [name for name in WATCHED[sender] if name in instance.__dict__]
    if update_fields is not None:
        names = [name for name in names if name.removesuffix("_id") in update_fields or name in update_fields]
    if raw or instance._state.adding or not names:
        return
    stored = sender._default_manager.filter(pk=instance.pk).values(*names).first()
    instance.__dict__["_way_before"] = stored


def _is_changed(instance: Model) -> bool:
    before = instance.__dict__.pop("_way_before", None)
    return before is not None and any(
        _comparable(instance.__dict__[name]) != _comparable(value) for name, value in before.items()
    )


def _comparable(value: object) -> object:
    """PostgreSQL gives columns of octets as memory views."""
    return bytes(value) if isinstance(value, memoryview) else value


def _follow_mailbox(instance: Mailbox, **_: object) -> None:
    if not _is_changed(instance):
        return
    if instance.mail_server_id is None and instance.smtp_host:
        _let_try(Route.objects.filter(mailbox=instance), instance.organization_id, instance.outgoing())
    _wake(OutboxMessage.objects.filter(mailbox=instance))


def _follow_server(instance: MailServer, **_: object) -> None:
    """What goes through it, and what it may stand in for."""
    if not _is_changed(instance):
        return
    _let_try(Route.objects.filter(mail_server=instance), instance.organization_id, instance.endpoint())
    through = Q(mailbox__mail_server=instance) | Q(mailbox__mail_server__fallback=instance)
    _wake(OutboxMessage.objects.filter(through))


def _let_try(route: QuerySet[Route], organization_pk: int, endpoint: Endpoint | None) -> None:
    """End the pause that the server asked for; where it could not be reached, the next message looks after it."""
    route.update(held_until=None, held_for="", slowed=0)
    if endpoint is not None:
        Circuit.objects.to(organization_pk, endpoint).open().update(probe_at=timezone.now())


def _wake(messages: QuerySet[OutboxMessage]) -> None:
    """Make due what only waits for its way out, and tell workers of it after the commit."""
    now = timezone.now()
    may_leave = messages.filter(Q(scheduled_for=None) | Q(scheduled_for__lte=now))
    waiting = OutboxRecipient.objects.filter(state=State.QUEUED, not_before__gt=now, waits_for_way=True)
    if not waiting.filter(message__in=may_leave).update(not_before=now, note=CHANGED):
        return
    due = OutboxRecipient.objects.due(now).filter(message__in=may_leave)
    senders = due.order_by().values_list("message__mailbox", "message__mailbox__mail_server").distinct()
    logins = [("mailbox", mailbox) if server is None else ("mail_server", server) for mailbox, server in senders]
    for pk in dict.fromkeys(Route.objects.keys_of(logins)):
        transaction.on_commit(partial(wake_route, pk))
