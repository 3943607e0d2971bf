"""What an API token may be used for: per resource, reading and writing apart (spec L1)."""

from __future__ import annotations

from typing import Final

from django.db import models

from organizations.models import User
from organizations.operations import Operation


class Scope(models.TextChoices):
    """A scope opens nothing by itself: the person behind the token needs the right too."""

    MAIL_SERVERS_READ = "mail_servers:read", "See mail servers"
    MAIL_SERVERS_WRITE = "mail_servers:write", "Add, change, check and delete mail servers"
    PROVIDERS_READ = "providers:read", "Look up email providers and their domains"
    PROVIDERS_WRITE = "providers:write", "Add, change, hide and delete email providers and their domains"
    MAILBOXES_READ = "mailboxes:read", "See email accounts and how their sync stands"
    MAILBOXES_WRITE = "mailboxes:write", "Add, change, check, sync, share and delete email accounts"
    MESSAGES_READ = "messages:read", "Read and search mail"
    MESSAGES_WRITE = "messages:write", "Mark, move and delete mail"
    OUTBOX_READ = "outbox:read", "See what was sent and what became of it"
    OUTBOX_SEND = "outbox:send", "Send mail, and decide about mail that waits"
    DRAFTS_READ = "drafts:read", "Read the mail you have begun"
    DRAFTS_WRITE = "drafts:write", "Begin, change and discard mail; nothing is sent"
    SUPPRESSIONS_READ = "suppressions:read", "See which addresses get no mail, and why"
    SUPPRESSIONS_WRITE = "suppressions:write", "Put addresses on the suppression list, and take them off"
    PEOPLE_READ = "people:read", "See people and roles"
    PEOPLE_WRITE = "people:write", "Invite and deactivate people, change roles, and give operations"
    OPTIONS_READ = "options:read", "See the email options of the organization"
    OPTIONS_WRITE = "options:write", "Change the email options of the organization"
    AUDIT_LOG_READ = "audit_log:read", "Read the audit log"
    PROFILE_READ = "profile:read", "See your profile, and what you may do"
    PROFILE_WRITE = "profile:write", "Change your name and time zone"
    NOTIFICATIONS_READ = "notifications:read", "Read your notifications, and which of them are mailed"
    NOTIFICATIONS_WRITE = "notifications:write", "Mark your notifications as read, and choose which are mailed"
    TOKENS_READ = "tokens:read", "See your own API tokens"
    TOKENS_WRITE = "tokens:write", "Revoke your own API tokens"


#: Without one of the operations the scope would open nothing, so it is not offered.
NEEDS: Final[dict[Scope, tuple[Operation, ...]]] = {
    Scope.MAIL_SERVERS_READ: (Operation.MANAGE_MAIL_SERVERS,),
    Scope.MAIL_SERVERS_WRITE: (Operation.MANAGE_MAIL_SERVERS,),
    Scope.PROVIDERS_WRITE: (Operation.MANAGE_EMAIL_PROVIDERS,),
    Scope.SUPPRESSIONS_READ: (Operation.MANAGE_EMAIL_ACCOUNTS,),
    Scope.SUPPRESSIONS_WRITE: (Operation.MANAGE_EMAIL_ACCOUNTS,),
    Scope.PEOPLE_READ: (Operation.MANAGE_PEOPLE,),
    Scope.PEOPLE_WRITE: (Operation.MANAGE_PEOPLE,),
    Scope.OPTIONS_READ: (Operation.MANAGE_EMAIL_ACCOUNTS, Operation.MANAGE_EMAIL_PROVIDERS),
    Scope.OPTIONS_WRITE: (Operation.MANAGE_EMAIL_ACCOUNTS, Operation.MANAGE_EMAIL_PROVIDERS),
    Scope.AUDIT_LOG_READ: (Operation.MANAGE_PEOPLE,),
}

#: What a token that is bound to mailboxes may hold: everything else concerns more than them.
ABOUT_MAILBOXES: Final = frozenset({
    Scope.PROVIDERS_READ, Scope.MAILBOXES_READ, Scope.MAILBOXES_WRITE, Scope.MESSAGES_READ, Scope.MESSAGES_WRITE,
    Scope.OUTBOX_READ, Scope.OUTBOX_SEND,
})  # fmt: skip


def opening_something(user: User) -> list[Scope]:
    """The scopes that are of any use to a token of `user`."""
    return [scope for scope in Scope if scope not in NEEDS or any(map(user.may, NEEDS[scope]))]
