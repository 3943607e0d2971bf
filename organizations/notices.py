"""Account mail that tells people about their own account."""

from __future__ import annotations

from organizations import account_mail
from organizations.account_mail import AccountMailFailed
from organizations.models import User


def tell_of_new_address(person: User, before: str, *, by: User) -> str:
    """Write to the old and to the new address; return "" or why one did not leave. Waits for the network."""
    failure = ""
    context = {"by": by, "before": before, "now": person.email}
    for address in (before, person.email):
        try:
            account_mail.send(
                "address_changed", to=(person.name, address), organization=person.organization, context=context
            )
        except AccountMailFailed as exc:
            failure = str(exc)
    return failure
