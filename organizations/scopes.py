"""What an API token may be used for: per resource, reading and writing apart (spec L1)."""

from __future__ import annotations

from typing import Final

from django.db import models

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
    OUTBOX_READ = "outbox:read", "See what was sent and what became of it"
    OUTBOX_SEND = "outbox:send", "Send mail, and decide about mail that waits"
    PEOPLE_READ = "people:read", "See people and roles"
    PEOPLE_WRITE = "people:write", "Invite and deactivate people, change roles, and give operations"
    TOKENS_READ = "tokens:read", "See your own API tokens"
    TOKENS_WRITE = "tokens:write", "Revoke your own API tokens"


#: Without the operation the scope would open nothing, so it is not offered.
NEEDS: Final[dict[Scope, Operation]] = {
    Scope.MAIL_SERVERS_READ: Operation.MANAGE_MAIL_SERVERS,
    Scope.MAIL_SERVERS_WRITE: Operation.MANAGE_MAIL_SERVERS,
    Scope.PROVIDERS_WRITE: Operation.MANAGE_EMAIL_PROVIDERS,
    Scope.PEOPLE_READ: Operation.MANAGE_PEOPLE,
    Scope.PEOPLE_WRITE: Operation.MANAGE_PEOPLE,
}

#: What a token that is bound to mailboxes may hold: everything else concerns more than them.
ABOUT_MAILBOXES: Final = frozenset({
    Scope.PROVIDERS_READ, Scope.MAILBOXES_READ, Scope.MAILBOXES_WRITE, Scope.MESSAGES_READ, Scope.OUTBOX_READ,
    Scope.OUTBOX_SEND,
})  # fmt: skip
