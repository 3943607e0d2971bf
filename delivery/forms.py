"""What is typed into the composer and above the log, read into useful types. Forms do not send."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Exists, OuterRef
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.datastructures import MultiValueDict

from accounts.models import DefaultSender, Mailbox, Signature
from accounts.rich_text import CleanHtml, Limits, RichTextRefused, clean
from accounts.rights import Right
from delivery import lost_files
from delivery.addressing import MAX_RECIPIENTS, read_addresses
from delivery.from_field import FromField, mailbox_key
from delivery.schedule_form import ScheduleFields
from delivery.senders import SenderChoice
from delivery.sizes import limits_of
from mailstore.nesting import is_too_deep
from organizations.long_select import LongSelect
from organizations.models import User
from protocols.message.addresses import Address
from protocols.message.build import Attachment
from protocols.message.filenames import safe_filename

MAX_ATTACHMENTS_SIZE = 20 * 1024 * 1024  # base64 makes 27 MB of it; most servers take 25 to 35 MB
MAX_TEXT = 1_000_000  # characters
RICH, PLAIN = "rich", "plain"
LONGEST_HTML = 16 * 1024 * 1024  # characters: pasted images, in base64, are inside
MAIL = Limits("a mail", image=10 * 1024 * 1024, total=10 * 1024 * 1024, images=200, html=500_000, tags=30_000)


class Attachable(Protocol):
    """A file that can be ticked. path: its name in the form; size: octets."""

    @property
    def path(self) -> str: ...
    @property
    def filename(self) -> str: ...
    @property
    def content_type(self) -> str: ...
    @property
    def size(self) -> int: ...


class AddressListField(forms.CharField):
    """Addresses with or without names, separated by commas, semicolons or line ends; each bad one gets a sentence."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 20_000)
        super().__init__(**kwargs)

    def to_python(self, value: object) -> Any:
        addresses, errors = read_addresses(super().to_python(value) or "")
        if errors:
            raise forms.ValidationError(errors)
        return addresses


class ManyFilesInput(forms.FileInput):
    allow_multiple_selected = True

    def value_from_datadict(
        self, data: Any, files: MultiValueDict[str, UploadedFile[Any]], name: str
    ) -> list[UploadedFile[Any]]:
        return files.getlist(name)


class AttachmentsField(forms.FileField):
    """Any number of files."""

    widget = ManyFilesInput(attrs={"multiple": True})

    def clean(self, data: object, initial: object = None) -> Any:
        files: list[UploadedFile[Any]] = data if isinstance(data, list) else []
        if any(len(file.name or "") > 255 for file in files):
            raise forms.ValidationError("A file name is longer than 255 characters. Rename it and choose it again.")
        return files


class _Mailboxes(forms.models.ModelChoiceIterator):  # type: ignore[type-arg]
    """Key and label alone: there may be a thousand."""

    def __iter__(self) -> Iterator[tuple[int | str, str]]:  # type: ignore[override]
        if self.field.empty_label is not None:
            yield "", str(self.field.empty_label)
        for pk, name, address in self.queryset.values_list("pk", "display_name", "address"):
            yield pk, f"{name} <{address}>"


class MailboxChoiceField(forms.ModelChoiceField):  # type: ignore[type-arg]
    widget = LongSelect
    iterator = _Mailboxes


class ComposeForm(ScheduleFields):
    """One mail, written by a person. `submission_key` makes one submission of it, however often it is sent."""

    free_text = frozenset({"subject", "to", "cc", "bcc"})

    submission_key = forms.CharField(widget=forms.HiddenInput, max_length=64)
    next = forms.CharField(widget=forms.HiddenInput, required=False, max_length=2000)
    mailbox = FromField(
        Mailbox.objects.none(),
        label="From",
        empty_label=None,
        error_messages={
            "required": "Choose the email account to send from.",
            "invalid_choice": "You cannot send from that email account any more. Choose another one.",
        },
    )
    to = AddressListField(label="To", required=False)
    cc = AddressListField(label="Cc", required=False)
    bcc = AddressListField(label="Bcc", required=False, help_text="They get it unseen by the others.")
    subject = forms.CharField(label="Subject", required=False, max_length=900, strip=True)
    text = forms.CharField(
        label="Message",
        required=False,
        max_length=MAX_TEXT,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 14, "spellcheck": "true"}),
    )
    format = forms.CharField(widget=forms.HiddenInput, required=False, max_length=10, initial=PLAIN)
    html = forms.CharField(
        label="Message",
        required=False,
        max_length=LONGEST_HTML,
        strip=False,
        widget=forms.Textarea(attrs={"hidden": "", "data-rich": ""}),
    )
    signed = forms.BooleanField(label="Signature", required=False)
    include_original = forms.BooleanField(label="Include the original message", required=False)
    as_attachment = forms.BooleanField(
        label="Attach the original as one file",
        required=False,
        help_text="The whole message, unchanged, with its headers and files (.eml).",
    )
    quote = forms.CharField(
        label="Quoted text",
        required=False,
        max_length=MAX_TEXT,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false"}),
    )
    attachments = AttachmentsField(label="Attachments", required=False)
    keep = forms.MultipleChoiceField(label="Files of the original", required=False, widget=forms.CheckboxSelectMultiple)

    def __init__(
        self,
        *args: Any,
        mailboxes: Sequence[Mailbox],
        files: Sequence[Attachable] = (),
        lost: Mapping[str, str] | None = None,
        shows_html: bool = False,
        **kwargs: Any,
    ) -> None:
        """mailboxes: what may stand in From; files: parts of the original, and of the draft, that may travel along.

        lost: names by path of files that the page offered as well and that are gone.
        shows_html: the original has HTML, which goes along as it is where the mail has formatting.
        """
        super().__init__(*args, **kwargs)
        self.shows_html = shows_html
        self.rich: CleanHtml | None = None  # after cleaning, where it was written with formatting
        kept = self.fields["keep"]
        assert isinstance(kept, forms.MultipleChoiceField)
        self.lost = lost or {}
        kept.choices = [(part.path, part.filename or part.content_type) for part in files]
        kept.choices += self.lost.items()
        self.size_limit = MAX_ATTACHMENTS_SIZE
        self.sizes = {part.path: part.size for part in files}
        field = self.fields["mailbox"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = Mailbox.objects.filter(pk__in=[mailbox.pk for mailbox in mailboxes])
        self.mailboxes = mailboxes
        for name in ("text", "quote"):
            self.fields[name].widget.attrs["lang"] = self._language()
        on = Signature.objects.filter(mailbox__in=mailboxes, is_on=True).exclude(html="")
        self.signed_mailboxes = set(on.values_list("pk", flat=True))
        self.limits = limits_of(mailboxes)

    def clean_subject(self) -> str:
        subject = str(self.cleaned_data["subject"])
        if any(character in subject for character in "\r\n\0"):
            raise forms.ValidationError("A subject is one line. Take the line break out of it.")
        return subject

    def clean_keep(self) -> list[str]:
        """Raises ValidationError as long as a file that is gone is ticked, and was not chosen again."""
        ticked: list[str] = self.cleaned_data["keep"]
        again = {safe_filename(file.name or "") for file in self.cleaned_data.get("attachments") or ()}
        if missing := [name for path, name in self.lost.items() if path in ticked and name not in again]:
            raise forms.ValidationError(lost_files.refusal(missing))
        return [path for path in ticked if path not in self.lost]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        self._limit_files(cleaned)
        if cleaned.get("format") == RICH and "html" in cleaned:
            self._clean_html(str(cleaned["html"]))
        fields = ("to", "cc", "bcc")
        if not any(name in self.errors for name in fields):
            number = sum(len(cleaned.get(name) or ()) for name in fields)
            if number == 0:
                self.add_error("to", "Write at least one address, here or in Cc or Bcc.")
            elif number > MAX_RECIPIENTS:
                self.add_error("to", f"{number} addresses are too many for one mail; {MAX_RECIPIENTS} is the limit.")
        return cleaned

    def _clean_html(self, html: str) -> None:
        if is_too_deep(html):
            self.add_error("html", "Its formatting is nested too deeply. Paste it without formatting.")
            return
        try:
            self.rich = clean(html, MAIL)
        except RichTextRefused as exc:
            self.add_error("html", str(exc))

    @property
    def quotes_original(self) -> bool:
        """Whether the original stands below: always where it is text that can be deleted by hand."""
        if self.cleaned_data["as_attachment"]:
            return False
        return self.rich is None or not self.shows_html or bool(self.cleaned_data["include_original"])

    def _limit_files(self, cleaned: dict[str, Any]) -> None:
        """Chosen files and those of the original count together."""
        total = sum(file.size or 0 for file in cleaned.get("attachments") or ())
        total += sum(self.sizes[path] for path in cleaned.get("keep") or ())
        if total > MAX_ATTACHMENTS_SIZE:
            self.add_error(
                "attachments",
                f"The files are {filesizeformat(total)} together; {filesizeformat(MAX_ATTACHMENTS_SIZE)} can be sent. "
                "Choose fewer or smaller files, or send a link instead.",
            )

    def _language(self) -> str:
        """In which the chosen mailbox writes, for the spell checking of the browser."""
        chosen = mailbox_key(self["mailbox"].value())
        return next((mailbox.writes_in.tag for mailbox in self.mailboxes if str(mailbox.pk) == chosen), "")

    @property
    def languages(self) -> str:
        """The language of each mailbox by its key, as JSON for the page."""
        return json.dumps({str(mailbox.pk): mailbox.writes_in.tag for mailbox in self.mailboxes})

    @property
    def kept_sizes(self) -> str:
        """Octets of the files of the original by their path, as JSON for the page."""
        return json.dumps(self.sizes)

    @property
    def signatures(self) -> str:
        """Where a page finds how the signature of each mailbox looks, by its key, as JSON; those without lack."""
        return json.dumps(
            {str(pk): reverse("accounts:settings-signature-preview", args=[pk]) for pk in self.signed_mailboxes}
        )

    @property
    def signature_preview(self) -> str:
        """The signature of the chosen mailbox; empty where it has none."""
        chosen = mailbox_key(self["mailbox"].value())
        return str(json.loads(self.signatures).get(chosen, ""))

    @property
    def mail_limits(self) -> str:
        """How large a mail from each mailbox may be, by its key, as JSON for the page; unknown ones lack."""
        return json.dumps({str(pk): {"octets": one.octets, "host": one.host} for pk, one in self.limits.items()})

    @property
    def sender(self) -> SenderChoice:
        return SenderChoice(FromField.address_of(self.cleaned_data["mailbox"], self["mailbox"].value()))

    @property
    def recipients(self) -> dict[str, list[Address]]:
        return {name: self.cleaned_data[name] or [] for name in ("to", "cc", "bcc")}


def sendable_by(user: User, now: datetime) -> list[Mailbox]:
    """The mailboxes that may stand in From: one's default sender, then one's own, the default account, the others."""
    preferred = DefaultSender.objects.filter(user=user, mailbox=OuterRef("pk"))
    allowed = (
        Mailbox.objects.allowing(Right.SEND, user, now)
        .filter(sends=True)
        .select_related("mail_server__provider", "provider", "owner")
    )
    able = [mailbox for mailbox in allowed.annotate(is_preferred=Exists(preferred)) if mailbox.can_send]

    def rank(mailbox: Mailbox) -> tuple[bool, bool, bool, str]:
        preferred = getattr(mailbox, "is_preferred", False)
        return not preferred, mailbox.owner_id != user.pk, not mailbox.is_default, mailbox.display_name

    return sorted(able, key=rank)


def attachments(files: list[UploadedFile[Any]]) -> list[Attachment]:
    """The chosen files as they travel; names are made harmless for the people who get them."""
    return [
        Attachment(
            filename=safe_filename(file.name or "", file.content_type or ""),
            content_type=file.content_type or "application/octet-stream",
            content=file.read(),
        )
        for file in files
    ]
