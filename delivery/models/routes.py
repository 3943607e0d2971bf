"""Ways out, as all workers see them: what shares a login shares its limits, and its place in the queue (spec B9)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Self

from django.db import IntegrityError, models, transaction
from django.db.models import F, Q

from accounts.models import Mailbox
from mailservers.limits import Limits, limits_of
from mailservers.models import MailServer
from organizations.prepared import prepared

if TYPE_CHECKING:
    from delivery.models import OutboxMessage

SLOT_LEASE: Final = timedelta(seconds=90)  # a heartbeat renews it (delivery/slots.py)
RELATED: Final = ("mail_server__provider", "mail_server__fallback__provider", "mailbox__provider")
NUDGE_LOST_AFTER: Final = timedelta(seconds=60)


class RouteQuerySet(models.QuerySet["Route"]):
    def of(self, mailbox: Mailbox) -> Self:
        """The route that mail from `mailbox` takes, if it was ever taken."""
        if mailbox.mail_server_id is not None:
            return self.filter(mail_server=mailbox.mail_server_id)
        return self.filter(mailbox=mailbox)

    def leading(self, mailbox: Mailbox) -> Route:
        """The route that mail from `mailbox` takes; a row from now on."""
        if mailbox.mail_server_id is not None:
            return self._row(mail_server_id=mailbox.mail_server_id)
        return self._row(mailbox_id=mailbox.pk)

    def through(self, server: MailServer) -> Route:
        return self._row(mail_server_id=server.pk)

    def keys_of(self, logins: Sequence[tuple[str, int]]) -> list[int]:
        """The keys of the routes of these logins, ("mailbox" or "mail_server", key), in their order."""
        known: dict[tuple[str, int], int] = {}
        for name in ("mailbox", "mail_server"):
            rows = self.filter(**{f"{name}__in": [key for kind, key in logins if kind == name]})
            known |= {(name, key): pk for key, pk in rows.values_list(name, "pk")}
        return [known.get(login) or self._row(**{f"{login[0]}_id": login[1]}).pk for login in logins]

    def by_key(self, pk: int) -> Route:
        return self.select_related(*RELATED).get(pk=pk)

    def to_nudge(self, mailbox: Mailbox, now: datetime) -> int | None:
        """The key of the route of `mailbox` where nobody was told lately; None where a worker was. One small query."""
        server_pk = mailbox.mail_server_id
        for route in _of_mailbox(mailbox.pk) if server_pk is None else _of_server(server_pk):
            told = route.nudged_at is not None and route.nudged_at > now - NUDGE_LOST_AFTER
            return None if told else route.pk
        return self.leading(mailbox).pk

    def note_nudge(self, now: datetime) -> int:
        """Claim the nudging of these; 0 where a worker was told already and has not begun yet."""
        untold = self.filter(Q(nudged_at=None) | Q(nudged_at__lte=now - NUDGE_LOST_AFTER))
        return untold.update(nudged_at=now)

    def _row(self, **key: int) -> Route:
        related = self.select_related(*RELATED)
        route = related.filter(**key).first()
        if route is None:
            try:
                with transaction.atomic():
                    Route.objects.create(**key)
            except IntegrityError:  # another worker was first, or its mailbox or server has just gone
                pass
            route = related.get(**key)
        return route


class Route(models.Model):
    """The way out of one login: a mailbox's own, or a mail server's for all mailboxes behind it.

    Workers lock this row while they count against the limits, so that together they keep within them.

    nudged_at:            a worker was told that something waits, and has not begun; until then nobody else is told.
    held_until, held_for: the server asked for a pause; why, as a sentence that goes on after a colon.
    slowed:               how many messages in a row it put off.
    """

    mailbox = models.OneToOneField(Mailbox, models.CASCADE, null=True, related_name="route")
    mail_server = models.OneToOneField(MailServer, models.CASCADE, null=True, related_name="route")
    nudged_at = models.DateTimeField(null=True)
    held_until = models.DateTimeField(null=True)
    held_for = models.CharField(max_length=500, blank=True)
    slowed = models.PositiveSmallIntegerField(default=0)

    objects = RouteQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(mailbox=None, mail_server__isnull=False) | Q(mailbox__isnull=False, mail_server=None),
                name="one_login_per_route",
            )
        ]

    def __str__(self) -> str:
        return f"server {self.mail_server_id}" if self.mail_server_id is not None else f"mailbox {self.mailbox_id}"

    @property
    def limits(self) -> Limits:
        if self.mail_server is not None:
            return self.mail_server.limits
        return limits_of(None, self.mailbox.provider if self.mailbox is not None else None)

    @property
    def organization_pk(self) -> int:
        holder = self.mail_server or self.mailbox
        assert holder is not None
        return holder.organization_id

    def behind(self, messages: models.QuerySet[OutboxMessage]) -> models.QuerySet[OutboxMessage]:
        """Those of `messages` that take this route."""
        if self.mail_server_id is not None:
            return messages.filter(mailbox__mail_server=self.mail_server_id)
        return messages.filter(mailbox=self.mailbox_id, mailbox__mail_server=None)

    def hold(self, until: datetime, why: str) -> None:
        """Nothing leaves by this login before `until`: its server asked for that. A longer pause stays."""
        shorter = Route.objects.filter(Q(held_until=None) | Q(held_until__lt=until), pk=self.pk)
        shorter.update(held_until=until, held_for=why[:500])

    def count_put_off(self) -> int:
        """One more message was put off by the server; how many in a row these are."""
        Route.objects.filter(pk=self.pk).update(slowed=F("slowed") + 1)
        self.refresh_from_db(fields=["slowed"])
        return self.slowed

    def release(self) -> None:
        """The server takes mail: what it put off before counts no more, and a pause that was outwaited is over.

        A pause that another worker was asked for meanwhile stays: "too many logins" is no less true for what goes on
        over a connection that was open before.
        """
        mine = Route.objects.filter(pk=self.pk)
        if self.slowed:
            mine.filter(slowed__gt=0).update(slowed=0)
        if self.held_until is not None:
            mine.filter(held_until=self.held_until).update(held_until=None, held_for="")
        self.held_until, self.held_for, self.slowed = None, "", 0


@prepared
def _of_mailbox(pk: int) -> RouteQuerySet:
    return Route.objects.filter(mailbox_id=pk)


@prepared
def _of_server(pk: int) -> RouteQuerySet:
    return Route.objects.filter(mail_server_id=pk)


class SlotQuerySet(models.QuerySet["Slot"]):
    def take(self, route: Route, most: int, now: datetime) -> Slot | None:
        """One of the `most` connections that may be open by this login; None while all are in use."""
        with transaction.atomic():
            Route.objects.select_for_update().get(pk=route.pk)
            mine = self.filter(route=route)
            mine.filter(leased_until__lte=now).delete()
            if mine.count() >= most:
                return None
            return self.create(route=route, leased_until=now + SLOT_LEASE)

    def renew(self, pk: int, now: datetime) -> bool:
        """False: it was given up, because it was not renewed for too long."""
        return bool(self.filter(pk=pk).update(leased_until=now + SLOT_LEASE))


class Slot(models.Model):
    """One connection that a worker may have open by a login. Gone when it is closed, void when it is not renewed."""

    route = models.ForeignKey(Route, models.CASCADE, related_name="slots")
    leased_until = models.DateTimeField()

    objects = SlotQuerySet.as_manager()

    def __str__(self) -> str:
        return f"Slot {self.pk} of {self.route_id}"
