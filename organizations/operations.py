"""Fine-grained rights that are granted to users and roles (spec A4). Nothing else compares roles."""

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
