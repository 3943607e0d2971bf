"""Mailboxes, who owns them, who may use them and what people write with."""

from accounts.models.grants import MailboxGrant
from accounts.models.mailboxes import DownloadPeriod, Mailbox, MailboxQuerySet, State
from accounts.models.tokens import TokenMailbox
from accounts.models.writing import DefaultSender, Signature, SignatureImage

__all__ = [
    "DefaultSender", "DownloadPeriod", "Mailbox", "MailboxGrant", "MailboxQuerySet", "Signature", "SignatureImage",
    "State", "TokenMailbox",
]  # fmt: skip
