"""What a deleted or an emptied mailbox leaves on the disk until somebody has removed it."""

from __future__ import annotations

from django.db import models


class Leftover(models.Model):
    """Packs of a mailbox that no row names any more. Written with the removal of the rows, so that a process which
    dies in between leaves nothing behind.

    mailbox_pk: no relation, since the mailbox may be gone.
    fence:      packs of claims up to this number; None: of all, since the mailbox is gone.
    """

    mailbox_pk = models.BigIntegerField()
    fence = models.PositiveBigIntegerField(null=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"Packs of mailbox {self.mailbox_pk}"
