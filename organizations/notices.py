"""Account mail that tells people about their own account."""

from __future__ import annotations

from organizations import account_mail
from organizations.account_mail import AccountMailFailed
from organizations.models import User


def tell_of_new_address(person: User, before: str) -> str:
    """Write to the address from before; return "" or why it did not leave. Waits for the network."""
    context = {"before": before, "now": person.email}
    to = (person.name, before)
    try:
        account_mail.send("address_changed", to=to, organization=person.organization, context=context)
    except AccountMailFailed as exc:
        return str(exc)
    return ""
