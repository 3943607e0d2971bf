"""One-time links: invitations, new addresses, new passwords, the first administrator."""

from __future__ import annotations

from typing import Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from organizations.models.people import Organization, Role, User


class InvitationQuerySet(models.QuerySet["Invitation"]):
    def open(self) -> Self:
        """Neither accepted nor withdrawn. Those that ran out are among them: they can be sent again."""
        return self.filter(accepted_at=None, withdrawn_at=None)


class Invitation(models.Model):
    """Asks somebody to become a user. Only the hash of its link is stored; sending it again makes a new link.

    token_hash:  of the link that is shown to who invites, to be passed on.
    mailed_hash: of the link in the last mail, "" before one was tried. Who has that one reads the mailbox.
    failure:     why the last mail did not leave, in words; "" when it did or when none was wanted.
    """

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="invitations")
    email = models.EmailField("Email address", max_length=254)
    name = models.CharField(max_length=150)
    roles = models.ManyToManyField(Role, related_name="invitations")
    token_hash = models.CharField(max_length=64, unique=True)
    mailed_hash = models.CharField(max_length=64, blank=True)
    invited_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="invitations_made")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    mailed_at = models.DateTimeField(null=True)
    failure = models.CharField(max_length=500, blank=True)
    accepted_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "organization",
                Lower("email"),
                condition=Q(accepted_at=None, withdrawn_at=None),
                name="one_open_invitation_per_address",
            ),
            models.UniqueConstraint(
                fields=["mailed_hash"], condition=~Q(mailed_hash=""), name="one_invitation_per_mailed_link"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


class AddressChange(models.Model):
    """The address that a person is to have, once the link that was mailed there is opened. Gone when it was.

    failure: why the mail did not leave, in words.
    """

    user = models.OneToOneField(User, models.CASCADE, related_name="address_change")
    email = models.EmailField("Email address", max_length=254)
    token_hash = models.CharField(max_length=64, unique=True)
    asked_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    asked_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    failure = models.CharField(max_length=500, blank=True)

    def __str__(self) -> str:
        return f"{self.email} for {self.user}"


class PasswordRequest(models.Model):
    """Somebody forgot a password; a worker mails the link, so that the page takes as long for unknown addresses.

    user:   None where nobody has the address.
    origin: scheme and host of the page that was used, for the link.
    """

    user = models.ForeignKey(User, models.CASCADE, null=True, related_name="password_requests")
    origin = models.CharField(max_length=300)
    requested_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"New password for {self.user}"


class SetupLink(models.Model):
    """The one-time link that makes the first administrator. Only its hash is stored."""

    token_hash = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"Setup link of {self.created_at:%Y-%m-%d}"
