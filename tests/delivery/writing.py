"""The composer, filled in."""

from __future__ import annotations

from accounts.models import Mailbox

COMPOSE = "/mail/compose"


def filled(mailbox: Mailbox, **changes: object) -> dict[str, object]:
    typed = {"submission_key": "form-1", "mailbox": mailbox.pk, "to": "bob@example.org", "subject": "Hi", "text": "Yes"}
    return {**typed, **changes}


def initial(response) -> dict[str, object]:
    return response.context["form"].initial
