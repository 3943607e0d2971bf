"""What the side bar shows to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from django.db.models import IntegerField, OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from accounts.models import Mailbox
from accounts.rights import Right
from mailstore.models import Folder, Listing
from notifications.models import Notification
from organizations.models import User
from organizations.operations import Operation


@dataclass(frozen=True, slots=True)
class Item:
    """One line. `count` is the number of unread messages in the inbox of `mailbox_pk`; 0 shows nothing."""

    label: str
    url: str
    icon: str
    is_current: bool = False
    mailbox_pk: int | None = None
    count: int = 0


@dataclass(frozen=True, slots=True)
class Section:
    label: str
    items: list[Item]


@dataclass(frozen=True, slots=True)
class Navigation:
    """unread: notifications of the person, up to a hundred."""

    sections: list[Section]
    profile_url: str | None
    unread: int = 0


def navigation(request: HttpRequest) -> dict[str, object]:
    """Context processor. Lazy: fragments that draw no side bar ask nothing."""
    return {"navigation": SimpleLazyObject(lambda: build(request))}


def build(request: HttpRequest) -> Navigation:
    if not request.user.is_authenticated:
        return Navigation([], None)
    mail = Section("Mail", _mailboxes(request, request.user))
    communications = Section("Communications", _pages(PAGES, request, request.user))
    administration = Section("Administration", _pages(ADMINISTRATION, request, request.user))
    sections = [section for section in (mail, communications, administration) if section.items]
    unread = Notification.objects.of(request.user).unread_count()
    return Navigation(sections, _url("organizations:profile"), unread)


def _url(name: str, *args: object) -> str | None:
    """The address of a page; None while the page is not built."""
    try:
        return reverse(name, args=args)
    except NoReverseMatch:
        return None


class MailboxLine(NamedTuple):
    """A mailbox of the mail panel. unread: messages of its inbox."""

    pk: int
    address: str
    owner_id: int | None
    unread: int


def mailbox_lines(user: User, *, mailbox_pk: int | None = None) -> list[MailboxLine]:
    """The mailboxes of the mail panel, or the one asked for if it is among them. One query."""
    unread = (
        Listing.objects.filter(
            folder__mailbox=OuterRef("pk"), folder__special_use=Folder.SpecialUse.INBOX, unread_count__gt=0
        )
        .order_by()
        .values("folder__mailbox")
        .annotate(total=Sum("unread_count"))
        .values("total")
    )
    mailboxes = Mailbox.objects.allowing(Right.SEND, user, timezone.now())
    if mailbox_pk is not None:
        mailboxes = mailboxes.filter(pk=mailbox_pk)
    counted = mailboxes.annotate(unread=Coalesce(Subquery(unread, output_field=IntegerField()), 0))
    return [MailboxLine(*row) for row in counted.values_list("pk", "address", "owner_id", "unread")]


def _mailboxes(request: HttpRequest, user: User) -> list[Item]:
    overview = _url("mailstore:mail")
    if overview is None:
        return []
    current = _current_mailbox_pk(request)
    return [
        Item(
            label=mailbox.address,
            url=_url("mailstore:mailbox", mailbox.pk) or f"{overview}?mailbox={mailbox.pk}",
            icon="inbox" if mailbox.owner_id == user.pk else "users",
            is_current=current == mailbox.pk,
            mailbox_pk=mailbox.pk,
            count=mailbox.unread,
        )
        for mailbox in mailbox_lines(user)
    ]


def _current_mailbox_pk(request: HttpRequest) -> int | None:
    """From the address (`mailbox_pk`), or set as `request.mailbox_pk` by a view that knows it from elsewhere."""
    match = request.resolver_match
    if match is None or match.app_name != "mailstore":
        return None
    pk = getattr(request, "mailbox_pk", match.kwargs.get("mailbox_pk"))
    return pk if isinstance(pk, int) else None


# URL name, words, icon, and the operation it needs.
PAGES: list[tuple[str, str, str, Operation | None]] = [
    ("email-settings", "Email settings", "settings-2", None),
    ("providers:list", "Providers", "library", Operation.MANAGE_EMAIL_PROVIDERS),
    ("delivery:drafts", "Drafts", "file-pen", None),
    ("delivery:email-log", "Email log", "scroll-text", None),
    ("delivery:scheduled", "Scheduled mail", "calendar-clock", None),
    ("delivery:suppressions", "Suppression list", "ban", Operation.MANAGE_EMAIL_ACCOUNTS),
]
ADMINISTRATION: list[tuple[str, str, str, Operation | None]] = [
    ("organizations:people", "People", "users", Operation.MANAGE_PEOPLE),
    ("organizations:roles", "Roles", "user-cog", Operation.MANAGE_PEOPLE),
    ("organizations:operations", "Operations", "list-checks", Operation.MANAGE_PEOPLE),
    ("organizations:audit-log", "Audit log", "history", Operation.MANAGE_PEOPLE),
]


def _pages(pages: list[tuple[str, str, str, Operation | None]], request: HttpRequest, user: User) -> list[Item]:
    allowed = [
        (url, label, icon)
        for name, label, icon, operation in pages
        if (url := _url(name)) and (operation is None or user.may(operation))
    ]
    around = [url for url, _, _ in allowed if f"{request.path}/".startswith(f"{url.rstrip('/')}/")]
    current = max(around, key=len, default="")
    return [Item(label, url, icon, is_current=url == current) for url, label, icon in allowed]
