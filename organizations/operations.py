"""Fine-grained rights that are granted to users and roles (spec A4). Nothing else compares roles."""

from __future__ import annotations

from django.db import models


class Operation(models.TextChoices):
    MANAGE_MAIL_SERVERS = "manage_mail_servers", "Manage mail servers"
    MANAGE_EMAIL_ACCOUNTS = "manage_email_accounts", "Manage email accounts"
    MANAGE_EMAIL_PROVIDERS = "manage_email_providers", "Manage email providers"
    MANAGE_SYSTEM_EMAILS = "manage_system_emails", "Manage system emails"
    MANAGE_TEMPLATES = "manage_templates", "Manage templates"
    MANAGE_AUTOMATION = "manage_automation", "Manage automation"
    SET_UP_SHARED_MAILBOXES = "set_up_shared_mailboxes", "Set up shared mailboxes"
    SYNCHRONISE_SHARED_MAILBOXES = "synchronise_shared_mailboxes", "Synchronise shared mailboxes"
    VIEW_EMAIL_LOGS = "view_email_logs", "View email logs"
    MANAGE_PEOPLE = "manage_people", "Manage people"

    @property
    def explanation(self) -> str:
        """One sentence for whoever decides about it."""
        return EXPLANATIONS[self]


#: What there is to do so far, in the order of the pages; the other operations open nothing yet and are not shown.
OFFERED: tuple[Operation, ...] = tuple(
    operation
    for operation in Operation
    if operation not in {Operation.MANAGE_SYSTEM_EMAILS, Operation.MANAGE_TEMPLATES, Operation.MANAGE_AUTOMATION}
)

EXPLANATIONS: dict[Operation, str] = {
    Operation.MANAGE_MAIL_SERVERS: "Add, test, change and delete the servers that send the organization's mail.",
    Operation.MANAGE_EMAIL_ACCOUNTS: "Add, change and delete every email account's settings; never read its mail.",
    Operation.MANAGE_EMAIL_PROVIDERS: "Change the list of email providers and which domains belong to them.",
    Operation.SET_UP_SHARED_MAILBOXES: "Share email accounts with colleagues, where one may set those accounts up.",
    Operation.SYNCHRONISE_SHARED_MAILBOXES: "Switch the automatic download of shared email accounts on.",
    Operation.VIEW_EMAIL_LOGS: "See all outgoing mail of the organization in the email log: to whom, and how it ended.",
    Operation.MANAGE_PEOPLE: "Invite, deactivate and remove people, change roles and operations, read the audit log.",
}
