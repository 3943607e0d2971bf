"""What people write with: signatures and the mailbox in From."""

from __future__ import annotations

from django.db import models

from accounts.models.mailboxes import Mailbox
from organizations.models import User


class Signature(models.Model):
    """What stands below the mail that people write from a mailbox (spec E9).

    html: cleaned; its images are rows of their own, named by `cid:` and their SHA-256.
    """

    mailbox = models.OneToOneField(Mailbox, models.CASCADE, primary_key=True, related_name="signature")
    is_on = models.BooleanField("Add signatures to outbound emails", default=False)
    html = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"Signature of {self.mailbox}"


class SignatureImage(models.Model):
    """An image of a signature, stored once per mailbox and content."""

    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="signature_images")
    sha256 = models.CharField(max_length=64)
    content_type = models.CharField(max_length=20)
    size = models.PositiveIntegerField(help_text="Octets.")
    content = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["mailbox", "sha256"], name="one_signature_image_per_content")]

    def __str__(self) -> str:
        return f"{self.content_type}, {self.size} octets"


class DefaultSender(models.Model):
    """The mailbox that stands in From when a person begins to write (spec E5): one for each user."""

    user = models.OneToOneField(User, models.CASCADE, primary_key=True, related_name="default_sender")
    mailbox = models.ForeignKey(Mailbox, models.CASCADE, related_name="default_senders")

    def __str__(self) -> str:
        return f"{self.mailbox} for {self.user}"
