"""What the actions of the audit log are called. A new one belongs here; until then its own name is shown, readable."""

from __future__ import annotations

ACTIONS: dict[str, dict[str, str]] = {
    "Signing in": {
        "user.sign_in": "Sign-in",
        "user.sign_out": "Sign-out",
        "user.password_changed": "Password changed",
        "user.password_link_sent": "Link for a new password sent",
        "user.password_reset": "New password set by a link",
        "user.profile_changed": "Own profile changed",
        "user.notifications_changed": "Own notification mails changed",
    },
    "People": {
        "user.joined": "Invitation accepted",
        "user.changed": "Person changed",
        "user.address_asked": "New address asked for",
        "user.address_withdrawn": "New address withdrawn",
        "user.deactivated": "Person deactivated",
        "user.reactivated": "Person reactivated",
        "user.removed": "Person removed",
        "invitation.created": "Person invited",
        "invitation.renewed": "New invitation link made",
        "invitation.withdrawn": "Invitation withdrawn",
        "role.created": "Role made",
        "role.renamed": "Role renamed",
        "role.deleted": "Role deleted",
        "role.member_added": "Person put into a role",
        "role.member_removed": "Person taken out of a role",
        "operation.given": "Operation given",
        "operation.taken": "Operation taken away",
        "token.created": "API token made",
        "token.revoked": "API token revoked",
    },
    "Organization": {
        "organization.set_up": "Organization set up",
        "organization.options_changed": "Email options changed",
        "account_mail.tested": "Account mail tested",
        "audit.exported": "Audit log exported",
    },
    "Email accounts": {
        "mailbox.created": "Email account added",
        "mailbox.connected": "Email account connected",
        "mailbox.connecting_failed": "Connecting an email account failed",
        "mailbox.changed": "Email account changed",
        "mailbox.checked": "Email account tested",
        "mailbox.settings_read": "Settings of another person’s email account opened",
        "mailbox.deleted": "Email account deleted",
        "mailbox.paused": "Email account paused",
        "mailbox.resumed": "Email account resumed",
        "mailbox.sync_released": "Sync of an email account taken from a process",
        "mailbox.emptied": "Stored mail of an email account deleted",
        "mailbox.compared": "Email account compared with its server",
        "mailbox.folders_refreshed": "Folders of an email account asked for",
        "mailbox.signature_changed": "Signature changed",
        "mailbox.shared": "Email account shared",
        "mailbox.unshared": "Sharing of an email account ended",
        "mailbox.access_given": "Access to an email account given",
        "mailbox.access_changed": "Access to an email account changed",
        "mailbox.access_taken": "Access to an email account taken away",
    },
    "Mail servers and providers": {
        "mailserver.created": "Mail server added",
        "mailserver.changed": "Mail server changed",
        "mailserver.deleted": "Mail server deleted",
        "mailserver.checked": "Mail server tested",
        "mailserver.test_message": "Test message sent",
        "provider.created": "Provider added",
        "provider.changed": "Provider changed",
        "provider.deleted": "Provider deleted",
        "provider.hidden": "Provider hidden",
        "provider.shown": "Provider shown again",
        "provider.restored": "Provider set back to the catalog",
        "provider.learned": "Provider of a domain learned",
        "provider_domain.created": "Domain of a provider added",
        "provider_domain.changed": "Domain of a provider changed",
        "provider_domain.deleted": "Domain of a provider deleted",
    },
    "Outgoing mail": {
        "outbox.cancelled": "Sending cancelled",
        "outbox.rescheduled": "Sending put to another time",
        "outbox.hurried": "Sending hurried",
        "outbox.retried": "Failed mail tried again",
        "outbox.sent_again": "Uncertain mail sent again",
        "outbox.marked_sent": "Uncertain mail marked as sent",
        "outbox.looked_for": "Uncertain mail looked for",
        "outbox.retried_uncertain": "Uncertain mail sent again by itself",
        "outbox.set_aside": "Queued mail set aside after a restored backup",
        "outbox.copy_retried": "Copy in the sent folder tried again",
        "outbox.resent": "Mail sent once more",
        "outbox.run_started": "Decision about many mails begun",
        "outbox.run_stopped": "Decision about many mails stopped",
        "email_log.exported": "Email log exported",
        "email_log.retention_changed": "Time that the email log is kept changed",
        "suppression.added": "Addresses put on the suppression list",
        "suppression.removed": "Address taken off the suppression list",
        "suppression.exported": "Suppression list exported",
    },
}
_WORDS = {action: words for group in ACTIONS.values() for action, words in group.items()}

OBJECTS = {
    "user": "Person",
    "role": "Role",
    "invitation": "Invitation",
    "organization": "Organization",
    "apitoken": "API token",
    "mailbox": "Email account",
    "mailserver": "Mail server",
    "provider": "Provider",
    "providerdomain": "Domain of a provider",
    "outboxmessage": "Mail",
    "logrun": "Decision about many mails",
    "suppression": "Suppressed address",
}


def words_for(action: str) -> str:
    """ "mailbox.deleted" -> "Email account deleted"; an unknown "thing.was_done" -> "Thing: was done"."""
    if action in _WORDS:
        return _WORDS[action]
    thing, _, what = action.partition(".")
    return f"{thing.replace('_', ' ').capitalize()}: {what.replace('_', ' ')}"


def words_for_object(kind: str) -> str:
    return OBJECTS.get(kind, kind.replace("_", " ").capitalize())
