"""Organizations, people, roles and what they may do; their links and tokens; the audit log."""

from organizations.models.audit import AuditEntry
from organizations.models.links import AddressChange, Invitation, PasswordRequest, SetupLink
from organizations.models.people import OperationGrant, Organization, Role, RoleMembership, UndoPeriod, User
from organizations.models.tokens import ApiToken

__all__ = [
    "AddressChange", "ApiToken", "AuditEntry", "Invitation", "OperationGrant", "Organization", "PasswordRequest",
    "Role", "RoleMembership", "SetupLink", "UndoPeriod", "User",
]  # fmt: skip
