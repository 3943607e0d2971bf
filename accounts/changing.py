"""Changing several settings of an email account at once: each group by the form of its page (spec E4, E6 to E10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

from django.db import IntegrityError, transaction
from django.forms import ModelForm
from django.utils import timezone

from accounts.advanced_form import IntervalForm, MailboxServersForm
from accounts.mailbox_form import MailboxForm
from accounts.models import Mailbox
from accounts.receive_form import ReceiveForm
from accounts.rights import Right
from accounts.send_form import SendForm
from organizations import audit
from organizations.calls import ApiRequest, FieldError, Invalid, Problem, form_values, invalid_form
from organizations.models import User

if TYPE_CHECKING:
    FormKind: TypeAlias = Callable[..., ModelForm[Mailbox]]

_SERVERS = tuple(f"{side}_{part}" for side in ("imap", "smtp") for part in ("host", "port", "security", "username"))
NOT_YOURS = "You may not change this here: it needs another right, or the account has no use for it."
#: Which form knows which fields. The first one has more, which those after it overrule.
_GROUPS: tuple[tuple[FormKind, frozenset[str]], ...] = (
    (MailboxForm, frozenset({"is_default"})),
    (
        SendForm,
        frozenset(
            {"display_name", "sender_address", "sends", "mail_server", "language", "appends_sent", "retries_uncertain"}
        ),
    ),
    (MailboxServersForm, frozenset({*_SERVERS, "password", "accepts_clear_text"})),
    (ReceiveForm, frozenset({"downloads", "download_period", "all_folders"})),
    (IntervalForm, frozenset({"sync_interval"})),
)


def change_mailbox(mailbox: Mailbox, changes: Mapping[str, object], request: ApiRequest) -> None:
    """Store `changes` (form field -> value), all or nothing, and record them. Raises Invalid, or Problem 409."""
    wanted = [(kind, names & changes.keys()) for kind, names in _GROUPS if names & changes.keys()]
    forms = [_filled(kind, mailbox, {name: changes[name] for name in names}, request.user) for kind, names in wanted]
    errors = [error for form in forms if not form.is_valid() for error in invalid_form(form).errors]
    if errors:
        raise Invalid(*errors)
    changed = sorted({name for form in forms for name in form.changed_data} & set(changes))
    if not changed:
        return
    try:
        with transaction.atomic():
            for form in forms:
                form.save()
            audit.record(
                "mailbox.changed",
                organization=request.user.organization,
                actor=request.user,
                target=mailbox,
                detail={"fields": changed},
                request=request,
            )
    except IntegrityError as exc:
        raise Problem(409, "changed-meanwhile", "Somebody else changed an account at the same moment.") from exc


def _filled(kind: FormKind, mailbox: Mailbox, changes: Mapping[str, object], user: User) -> ModelForm[Mailbox]:
    """The form as it stands, with `changes` in it. Raises Invalid for what the caller may not change."""
    known: dict[str, object] = {} if kind is IntervalForm else {"user": user}
    if kind is SendForm:
        known["may_send"] = Mailbox.objects.allowing(Right.SEND, user, timezone.now()).filter(pk=mailbox.pk).exists()
    before = kind(instance=mailbox, **known)
    missing = [FieldError(name, NOT_YOURS) for name in sorted(changes) if name not in before.fields]
    if missing:
        raise Invalid(*missing)
    values = dict(changes)
    if "all_folders" in values:
        values["all_folders"] = "all" if values["all_folders"] else "selected"
    return kind(form_values(before, values), instance=mailbox, **known)
