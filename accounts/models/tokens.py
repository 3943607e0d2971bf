"""API tokens that are bound to certain mailboxes."""

from __future__ import annotations

from django.db import models

from organizations.models import ApiToken


class TokenMailbox(models.Model):
    """One of the mailboxes that an API token is bound to (spec L1); counts where its `only_mailboxes` is set."""

    token = models.ForeignKey(ApiToken, models.CASCADE, related_name="bindings")
    mailbox = models.ForeignKey("accounts.Mailbox", models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["token", "mailbox"], name="one_binding_per_token_and_mailbox")]

    def __str__(self) -> str:
        return f"{self.token} for {self.mailbox}"
