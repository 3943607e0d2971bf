"""By what a database shows that it was put back to an earlier state (fault R38)."""

from __future__ import annotations

from django.db import models


class Pulse(models.Model):
    """How often the outbox has been swept, in one row. The same number stands beside the stored mail.

    Written here first: the number there is never the higher one, unless this database has forgotten something.
    is_beside_mail: whether it could be written there the last time.
    """

    number = models.PositiveBigIntegerField(default=0)
    at = models.DateTimeField()
    is_beside_mail = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"Sweep {self.number} at {self.at}"


class Restore(models.Model):
    """A backup that was put back. as_of: when it was made, as far as that is known; set_aside: messages."""

    noticed_at = models.DateTimeField()
    as_of = models.DateTimeField(null=True)
    set_aside = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"Restore noticed at {self.noticed_at}"
