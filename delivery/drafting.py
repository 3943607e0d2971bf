"""What stands in the composer before anybody types: the beginnings of replies and forwarded messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from django.utils import timezone

from delivery.addressing import shown
from delivery.quoted_html import QuotedHtml, quoted_html
from mailstore.models import Message
from mailstore.packs import RawUnavailable, open_raw
from protocols.message.addresses import Address
from protocols.message.build import Attachment
from protocols.message.content import ContentPart, MessageContent, open_message, part_bytes
from protocols.message.filenames import safe_filename
from protocols.message.identity import forward_subject, reply_recipients, reply_subject
from protocols.message.languages import Language
from protocols.message.octets import Octets
from protocols.message.parse import MessageSummary, parse_summary
from protocols.message.quoting import reply_quotation

LONGEST_QUOTE = 200_000  # characters of the original that are quoted


@dataclass(frozen=True, slots=True)
class Draft:
    """The beginning of a mail.

    quote:      below the signature, as plain text. files: parts of the original that may go along.
    head:       what stands above the original: who wrote it and when.
    shows_html: the original has HTML, which stands below mail with formatting as it is.
    """

    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    subject: str = ""
    quote: str = ""
    files: tuple[ContentPart, ...] = ()
    notice: str = ""
    head: str = ""
    shows_html: bool = False

    def initial(self) -> dict[str, str]:
        """The form's initial values."""
        return {
            "to": ", ".join(map(shown, self.to)),
            "cc": ", ".join(map(shown, self.cc)),
            "subject": self.subject,
            "quote": self.quote,
        }


@dataclass(frozen=True)
class Original:
    """A stored message that is answered or passed on, opened once."""

    message: Message
    summary: MessageSummary
    raw: Octets = field(repr=False)

    @classmethod
    def read(cls, message: Message) -> Original:
        """Raises RawUnavailable when the stored octets cannot be read back."""
        raw = open_raw(message)
        return cls(message, parse_summary(raw), raw)

    def reply(self, words: Language, *, everyone: bool) -> Draft:
        recipients = reply_recipients(self.summary, [self.message.mailbox.address], everyone=everyone)
        quotation = reply_quotation(self._text(), self.summary.from_, self._sent_at, words)
        return Draft(
            recipients.to,
            recipients.cc,
            reply_subject(self.summary.subject),
            quotation,
            head=self.head(words, forward=False),
            shows_html=self._content.html is not None,
        )

    def forward(self, words: Language) -> Draft:
        above = self.head(words, forward=True)
        return Draft(
            subject=forward_subject(self.summary.subject),
            quote=f"{above}\n\n{self._text()}",
            files=self._content.attachments,
            head=above,
            shows_html=self._content.html is not None,
        )

    def head(self, words: Language, *, forward: bool) -> str:
        """What stands above the original in an answer, or where it is passed on; lines of text."""
        summary, names = self.summary, words.fields
        if not forward:
            return words.attribution(summary.from_, self._sent_at)
        values = {
            names.from_: shown(summary.from_) if summary.from_ else "",
            names.date: words.moment(self._sent_at) if self._sent_at else "",
            names.subject: summary.subject,
            names.to: ", ".join(map(shown, summary.to)),
            names.cc: ", ".join(map(shown, summary.cc)),
        }
        return "\n".join([words.forwarded, *(f"{name}: {value}" for name, value in values.items() if value)])

    def quoted(self, words: Language, *, forward: bool, domain: str) -> QuotedHtml | None:
        """Its HTML below `head`; None where it has none. domain: of the Content-IDs of its images."""
        return quoted_html(self._content, self.raw, self.head(words, forward=forward), forward=forward, domain=domain)

    def whole(self) -> Attachment:
        """The original as it came, as one file (RFC 2046, 5.2.1)."""
        name = safe_filename(f"{self.summary.subject[:100] or 'message'}.eml", "message/rfc822")
        return Attachment(filename=name, content_type="message/rfc822", content=bytes(self.raw[:]))

    def files(self, paths: Sequence[str]) -> list[Attachment]:
        return chosen_files(self.raw, paths)

    @property
    def _sent_at(self) -> datetime | None:
        """In the reader's time zone."""
        return timezone.localtime(self.summary.date) if self.summary.date else None

    @cached_property
    def _content(self) -> MessageContent:
        return open_message(self.raw)

    def _text(self) -> str:
        text = self._content.text or ""
        return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]}\n[...]"


def chosen_files(raw: Octets, paths: Sequence[str]) -> list[Attachment]:
    """The chosen parts of a message as attachments; a path that it does not have is passed over."""
    return [
        Attachment(
            filename=safe_filename(part.filename, part.content_type),
            content_type=part.content_type,
            content=part_bytes(raw, part.path),
        )
        for part in open_message(raw).attachments
        if part.path in paths
    ]


def draft_without_original(message: Message, *, forward: bool) -> Draft:
    """What can be begun from the stored row alone, where the octets cannot be read."""
    sender = Address(message.from_name, message.from_address)
    subject = forward_subject(message.subject) if forward else reply_subject(message.subject)
    notice = "The original text cannot be read from the disk, so nothing is quoted."
    return Draft(to=() if forward else (sender,), subject=subject, notice=notice)


def draft_for(message: Message, words: Language, *, forward: bool, everyone: bool) -> Draft:
    """The draft that answers or forwards a stored message; the lines of ours in it are in the language of `words`."""
    try:
        original = Original.read(message)
    except RawUnavailable:
        return draft_without_original(message, forward=forward)
    return original.forward(words) if forward else original.reply(words, everyone=everyone)
