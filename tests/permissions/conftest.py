"""A small world with one of everything, everybody who may ask for it, and its double in another organization."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts import signature
from accounts.models import Mailbox, MailboxGrant
from delivery import log_runs
from delivery.models import OutboxMessage, SavedDraft, Suppression, Typed
from delivery.states import Cause, Decision, Origin, State
from mailservers.models import MailServer
from mailstore import marking
from mailstore.inline_images import address_of
from mailstore.models import Change, Message
from notifications.kinds import Kind
from notifications.models import Notification
from notifications.telling import tell
from organizations import new_address
from organizations.invitations import invite, mail
from organizations.models import Organization, Role, User
from organizations.roles import add_member, administrators_of
from organizations.setup import make_setup_link
from organizations.tokens import make_token
from providers.logos import keep as keep_logo
from providers.models import Provider, ProviderDomain
from tests.accounts.settings.pictures import data_address, png
from tests.conftest import person
from tests.delivery.conftest import MakeMessage, make_message  # noqa: F401  a fixture
from tests.mailstore.panel.conftest import Deliver, deliver, mail_with_files  # noqa: F401  a fixture

#: Words that stand in mail, in settings and in the log of what was sent; who may not have them must not get them.
IN_MAIL, IN_SETTINGS, IN_OUTBOX = "Quarterly-numbers-inside", "Northwind-private-desk", "Offer-that-was-sent"


@dataclass
class World:
    """`people` by actor; `things` by the words that the table uses for arguments; `foreign`: the same, elsewhere."""

    organization: Organization
    people: dict[str, User] = field(default_factory=dict)
    things: dict[str, object] = field(default_factory=dict)
    foreign: dict[str, object] = field(default_factory=dict)

    def value(self, word: str) -> object:
        """What an argument of the table stands for; ":word" is the word itself."""
        return word[1:] if word.startswith(":") else self.things[word]


@pytest.fixture
def world(
    make_mailbox: Callable[..., Mailbox],
    deliver: Deliver,  # noqa: F811
    make_message: MakeMessage,  # noqa: F811
    organization: Organization,
    other_organization: Organization,
) -> World:
    """The double elsewhere has the same names, addresses and subjects, but none of the words above."""
    built = _build(organization, "", make_mailbox, deliver, make_message)
    double = _build(other_organization, ".elsewhere", make_mailbox, deliver, make_message)
    built.people["elsewhere"] = double.people["administrator"]
    built.foreign = double.things
    return built


def _build(organization: Organization, suffix: str, make_mailbox, deliver, make_message) -> World:  # noqa: F811
    world = World(organization)
    names = ("stranger", "access", "send", "setup", "owner", "administrator", "former", "colleague")
    people = world.people = {name: person(organization, name.title(), f"example{suffix}.org") for name in names}
    add_member(administrators_of(organization), people["administrator"], added_by=None)
    private = not suffix
    mailbox = make_mailbox(
        "desk@example.org", people["owner"], is_shared=True, display_name=IN_SETTINGS if private else "Desk"
    )
    _share(mailbox, people)
    message = deliver(mailbox, mail_with_files(Subject=IN_MAIL if private else "Numbers"))
    sent = make_message(mailbox, people["owner"], "bob@example.org", subject=IN_OUTBOX if private else "Offer")
    world.things = _things(world, mailbox, message, sent) | _waiting(mailbox, people["owner"], make_message)
    return world


def _waiting(mailbox: Mailbox, author: User, make_message) -> dict[str, object]:  # noqa: F811
    """A mail that is scheduled, one that was taken back, and a notice of which nobody knows whether it was sent."""
    tomorrow = timezone.now() + timedelta(days=1)
    scheduled = make_message(mailbox, author, scheduled_for=tomorrow, recipient={"not_before": tomorrow})
    taken_back = make_message(mailbox, author, recipient={"state": State.CANCELLED})
    for message in (scheduled, taken_back):
        Typed.objects.create(message=message, kind="compose", fields={"subject": message.subject})
    notice = make_message(
        mailbox,
        None,
        author.email,
        origin=Origin.NOTICE,
        recipient={"state": State.UNCERTAIN},
        submission_key=f"n{author.pk}",
    )
    return {"scheduled": scheduled.pk, "taken_back": taken_back.pk, "notice": notice.pk}


def _signature(mailbox: Mailbox) -> str:
    """Give the mailbox a signature; return the SHA-256 of its image."""
    signature.save(mailbox, f'<p>The desk</p><img src="{data_address(png())}">', is_on=True)
    return mailbox.signature_images.get().sha256


def _starred(message: Message, by: User) -> UUID:
    """The name of an action that `by` may undo."""
    starred = marking.mark(message.mailbox, [message.pk], Change.Kind.FLAGGED, wanted=True, by=by, now=timezone.now())
    return starred.batch


def _wish(world: World) -> str:
    """The token of the link to a new address of the colleague."""
    email = f"new-at-{world.organization.pk}@example.org"
    asker = world.people["administrator"]
    return new_address.ask(world.people["colleague"], email, by=asker, now=timezone.now())[1]


def _told(user: User, sent: OutboxMessage) -> int:
    """Tell `user` that a message failed; return the key of the row."""
    text = f"“{sent.subject}” was refused."
    url = reverse("delivery:message", args=[sent.pk])
    tell([user], Kind.MESSAGE_FAILED, title="It was not sent", text=text, url=url, key="it", now=timezone.now())
    return Notification.objects.get(user=user).pk


def _share(mailbox: Mailbox, people: dict[str, User]) -> None:
    """Each grantee holds one right. The former one's ended a moment ago; a role holds all three, and has no members."""
    for right in ("access", "send", "setup"):
        MailboxGrant.objects.create(mailbox=mailbox, user=people[right], **{f"may_{right}": True})
    everything = {"may_access": True, "may_send": True, "may_setup": True}
    a_moment_ago = timezone.now() - timedelta(seconds=1)
    MailboxGrant.objects.create(mailbox=mailbox, user=people["former"], ends_at=a_moment_ago, **everything)
    role = Role.objects.create(organization=mailbox.organization, name="Front desk")
    MailboxGrant.objects.create(mailbox=mailbox, role=role, **everything)
    Mailbox.objects.filter(pk=mailbox.pk).update(is_shared=True)


def _draft(user: User) -> SavedDraft:
    return SavedDraft.objects.create(user=user, key="half-a-mail", kind="compose", fields={}, changed_at=timezone.now())


def _things(world: World, mailbox: Mailbox, message: Message, sent: OutboxMessage) -> dict[str, object]:
    server = MailServer.objects.create(
        organization=world.organization, name=mailbox.display_name, host="smtp.example.org"
    )
    image = address_of(message, message.attachments.get(cid="logo@example.com").path, world.people["owner"])
    own_provider = Provider.objects.create(organization=world.organization, key="own_desk", name=mailbox.display_name)
    keep_logo(own_provider, b"an image")
    ProviderDomain.objects.create(organization=world.organization, domain="desk.example", provider=own_provider)
    invitation, _ = invite(
        world.organization,
        name="Invited",
        email=f"invited-to-{world.organization.pk}@example.org",
        roles=[],
        by=world.people["administrator"],
        now=timezone.now(),
    )
    draft = _draft(world.people["owner"])
    mailed: list[str] = []
    mail(invitation, lambda token: mailed.append(token) or token, now=timezone.now())
    return {
        "invitation": invitation.pk,
        "invitation_token": mailed[0],
        "address_token": _wish(world),
        "notification": _told(world.people["owner"], sent),
        "draft": draft.key,
        "draft_row": draft.pk,
        "mailbox": mailbox.pk,
        "server": server.pk,
        "folder": message.folder_id,
        "conversation": message.conversation_id,
        "message": message.pk,
        "starred": _starred(message, world.people["owner"]),
        "attachment": message.attachments.exclude(filename="").latest("pk").pk,
        "image": image.rstrip("/").rpartition("/")[2],
        "sent": sent.pk,
        "run": log_runs.start(
            world.people["owner"], Decision.RESEND, [sent.pk], {}, timezone.now(), submission_key="1"
        ).pk,
        "suppression": Suppression.objects.create(
            organization=world.organization, address="gone@example.org", cause=Cause.BY_HAND, since=timezone.now()
        ).pk,
        "person": world.people["colleague"].pk,
        "role": Role.objects.get(organization=world.organization, name="Front desk").pk,
        "signature_image": _signature(mailbox),
        "grant": mailbox.grants.get(role__isnull=False).pk,
        "provider": Provider.objects.get_or_create(organization=None, key="shared", defaults={"name": "Shared"})[0].pk,
        "own_provider": own_provider.pk,
        "provider_domain": own_provider.domains.get().pk,
        "token": make_token(world.people["owner"], "Shop", [], now=timezone.now(), expires_at=None)[0].pk,
        "setup_link": make_setup_link(timezone.now()),
    }
