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


EXPLANATIONS: dict[Operation, str] = {
    Operation.MANAGE_MAIL_SERVERS: "Add, test, change and delete the servers that send the organization's mail.",
    Operation.MANAGE_EMAIL_ACCOUNTS: "Add, change and delete every email account's settings; never read its mail.",
    Operation.MANAGE_EMAIL_PROVIDERS: "Change the list of email providers and which domains belong to them.",
    Operation.MANAGE_SYSTEM_EMAILS: "Decide which mails the system sends by itself, and through which account.",
    Operation.MANAGE_TEMPLATES: "Write and change the templates that everybody can use.",
    Operation.MANAGE_AUTOMATION: "Make rules that act on incoming mail by themselves.",
    Operation.SET_UP_SHARED_MAILBOXES: "Share email accounts with colleagues, where one may set those accounts up.",
    Operation.SYNCHRONISE_SHARED_MAILBOXES: "Fetch the new mail of shared email accounts at once, by the button.",
    Operation.VIEW_EMAIL_LOGS: "See all outgoing mail of the organization in the email log: to whom, and how it ended.",
    Operation.MANAGE_PEOPLE: "Invite, deactivate and remove people, change roles and operations, read the audit log.",
}
