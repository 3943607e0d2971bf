"""What stands in the composer before anybody types: the beginnings of replies and forwarded messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.utils import timezone

from delivery.addressing import shown
from mailstore.models import Message
from mailstore.packs import RawUnavailable, open_raw
from protocols.message.addresses import Address
from protocols.message.build import Attachment
from protocols.message.content import ContentPart, open_message, part_bytes
from protocols.message.filenames import safe_filename
from protocols.message.identity import forward_subject, reply_recipients, reply_subject
from protocols.message.languages import Language
from protocols.message.octets import Octets
from protocols.message.parse import MessageSummary, parse_summary
from protocols.message.quoting import reply_quotation

LONGEST_QUOTE = 200_000  # characters of the original that are quoted


@dataclass(frozen=True, slots=True)
class Draft:
    """The beginning of a mail. quote: below the signature; files: parts of the original that may go along."""

    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    subject: str = ""
    quote: str = ""
    files: tuple[ContentPart, ...] = ()
    notice: str = ""

    def initial(self) -> dict[str, str]:
        """The form's initial values."""
        return {
            "to": ", ".join(map(shown, self.to)),
            "cc": ", ".join(map(shown, self.cc)),
            "subject": self.subject,
            "quote": self.quote,
        }


@dataclass(frozen=True, slots=True)
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
        date = self.summary.date
        sent_at = timezone.localtime(date) if date else None
        quotation = reply_quotation(self._text(), self.summary.from_, sent_at, words)
        return Draft(recipients.to, recipients.cc, reply_subject(self.summary.subject), quotation)

    def forward(self, words: Language) -> Draft:
        summary, names = self.summary, words.fields
        head = {
            names.from_: shown(summary.from_) if summary.from_ else "",
            names.date: words.moment(timezone.localtime(summary.date)) if summary.date else "",
            names.subject: summary.subject,
            names.to: ", ".join(map(shown, summary.to)),
            names.cc: ", ".join(map(shown, summary.cc)),
        }
        lines = [f"{name}: {value}" for name, value in head.items() if value]
        quote = "\n".join([words.forwarded, *lines, "", self._text()])
        files = open_message(self.raw).attachments
        return Draft(subject=forward_subject(summary.subject), quote=quote, files=files)

    def files(self, paths: Sequence[str]) -> list[Attachment]:
        return chosen_files(self.raw, paths)

    def _text(self) -> str:
        text = open_message(self.raw).text or ""
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
