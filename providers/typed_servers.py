"""Who may type mail servers by hand (spec B3)."""

from organizations.models import User
from organizations.operations import Operation


def may_type_servers(user: User) -> bool:
    """Whether `user` may connect to servers that no entry of the catalog names. Administrators always may."""
    managing = (Operation.MANAGE_EMAIL_PROVIDERS, Operation.MANAGE_EMAIL_ACCOUNTS)
    return user.organization.allows_typed_servers or any(user.may(operation) for operation in managing)
