"""Who may type mail servers by hand (spec B3)."""

from django.core.exceptions import PermissionDenied

from organizations.models import User
from organizations.operations import Operation


def may_type_servers(user: User) -> bool:
    """Whether `user` may connect to servers that no entry of the catalog names. Administrators always may."""
    managing = (Operation.MANAGE_EMAIL_PROVIDERS, Operation.MANAGE_EMAIL_ACCOUNTS)
    return user.organization.allows_typed_servers or any(user.may(operation) for operation in managing)


def refuse_typed_servers(user: User) -> None:
    """Raise PermissionDenied where the organization leaves that to its administrators."""
    if not may_type_servers(user):
        raise PermissionDenied(
            "Your organization lets only administrators type mail servers by hand. Choose one of the known providers, "
            "or ask an administrator to add yours."
        )
