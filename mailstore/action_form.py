"""What a reader asks for by a button, a key or a call: which messages, and what becomes of them (spec G5)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from django import forms
from django.db.models import QuerySet

from mailstore import marking
from mailstore.marking import Action
from mailstore.models import Change, Folder, Listing, Message
from organizations.models import User
from organizations.plain_words import PlainWords

MOST: Final = 10_000  # messages by one press of a button
#: Only there is anything removed for good; from elsewhere it goes to the trash first.
REMOVED_FROM: Final = (Folder.SpecialUse.TRASH, Folder.SpecialUse.JUNK)


class Deed(StrEnum):
    """Which button it was."""

    READ = "read"
    UNREAD = "unread"
    STAR = "star"
    UNSTAR = "unstar"
    ARCHIVE = "archive"
    JUNK = "junk"
    NOT_JUNK = "not-junk"
    TRASH = "trash"
    MOVE = "move"
    REMOVE = "remove"


_FLAGS: Final = {
    Deed.READ: (Change.Kind.SEEN, True),
    Deed.UNREAD: (Change.Kind.SEEN, False),
    Deed.STAR: (Change.Kind.FLAGGED, True),
    Deed.UNSTAR: (Change.Kind.FLAGGED, False),
}
_USES: Final = {
    Deed.ARCHIVE: Folder.SpecialUse.ARCHIVE,
    Deed.JUNK: Folder.SpecialUse.JUNK,
    Deed.NOT_JUNK: Folder.SpecialUse.INBOX,
    Deed.TRASH: Folder.SpecialUse.TRASH,
}
_NEWEST_ONLY: Final = {Deed.UNREAD, Deed.STAR}
_DONE: Final = {
    Deed.UNREAD: "Marked as unread.",
    Deed.STAR: "Starred.",
    Deed.UNSTAR: "Star removed.",
    Deed.ARCHIVE: "Archived.",
    Deed.JUNK: "Moved to spam.",
    Deed.NOT_JUNK: "Moved to the inbox: it is no spam.",
    Deed.TRASH: "Moved to trash.",
    Deed.REMOVE: "Deleted for good.",
}


class KeysField(forms.Field):
    """Primary keys, each named once or more: `conversation=3&conversation=5`."""

    widget = forms.SelectMultiple

    def to_python(self, value: list[str] | None) -> list[int]:
        texts = value or []
        if len(texts) > MOST or not all(text.isascii() and text.isdigit() and len(text) < 19 for text in texts):
            raise forms.ValidationError("Choose the messages in the list again.")
        return [int(text) for text in texts]


class ActionForm(PlainWords, forms.Form):
    """An action in a folder. `conversation` means its messages there, `message` any message of the same mailbox."""

    action = forms.ChoiceField(choices=[(deed.value, deed.value) for deed in Deed])
    conversation = KeysField(required=False)
    message = KeysField(required=False)
    target = forms.ModelChoiceField(Folder.objects.none(), required=False)

    def __init__(self, *arguments: Any, folder: Folder, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.folder = folder
        self.use_required_attribute = False
        target = self.fields["target"]
        assert isinstance(target, forms.ModelChoiceField)
        target.queryset = targets(folder)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if not (data.get("conversation") or data.get("message")) and not self.errors:
            raise forms.ValidationError("Choose at least one message first.")
        if data.get("action") == Deed.MOVE and data.get("target") is None and "target" not in self.errors:
            self.add_error("target", "Choose the folder to move to.")
        return data

    @property
    def deed(self) -> Deed:
        return Deed(self.cleaned_data["action"])

    @property
    def takes_away(self) -> bool:
        """Whether the messages leave the folder."""
        return self.deed not in _FLAGS

    def carry_out(self, by: User, now: datetime) -> Action:
        """Do it on the screen, and queue it for the server. Raises NoSuchFolder."""
        mailbox = self.folder.mailbox
        keys = list(self._messages().values_list("pk", flat=True)[:MOST])
        if self.deed in _FLAGS:
            kind, wanted = _FLAGS[self.deed]
            return marking.mark(mailbox, keys, kind, wanted=wanted, by=by, now=now)
        return marking.move(mailbox, keys, self._target(), by=by, now=now)

    @property
    def stays_at(self) -> Folder | None:
        """The folder in which a search still finds what was moved; None where that is not what the reader wants."""
        if self.deed not in (Deed.ARCHIVE, Deed.MOVE, Deed.NOT_JUNK):
            return None
        target = self._target()
        return target if target is not None and target.is_followed else None

    def sentence(self, action: Action) -> str:
        """What was done, for the reader."""
        if not action.count:
            return "Nothing was left to change."
        done = _DONE.get(self.deed) or f"Moved to {self.cleaned_data['target'].label}."
        return f"{action.count} messages: {done[0].lower()}{done[1:]}" if action.count > 1 else done

    def _target(self) -> Folder | None:
        if self.deed is Deed.REMOVE:
            return None
        if self.deed is Deed.MOVE:
            chosen: Folder = self.cleaned_data["target"]
            return chosen
        return marking.folder_for(self.folder.mailbox, _USES[self.deed])

    def _messages(self) -> QuerySet[Message]:
        conversations = self.cleaned_data["conversation"]
        if self.deed in _NEWEST_ONLY:
            listed = Listing.objects.filter(folder=self.folder, conversation__in=conversations)
            here = Message.objects.filter(pk__in=listed.values("newest"))
        else:
            here = Message.objects.filter(folder=self.folder, conversation__in=conversations)
        named = Message.objects.filter(mailbox=self.folder.mailbox_id, pk__in=self.cleaned_data["message"])
        if self.deed is Deed.REMOVE:
            named = named.filter(folder__special_use__in=REMOVED_FROM)
            here = here.filter(folder__special_use__in=REMOVED_FROM)
        return (here | named).filter(vanished_at=None)


def targets(folder: Folder) -> QuerySet[Folder]:
    """The folders that messages of `folder` can be moved to."""
    views = (Folder.SpecialUse.FLAGGED, Folder.SpecialUse.IMPORTANT)  # they show mail of other folders
    present = Folder.objects.filter(mailbox=folder.mailbox_id, vanished_at=None, is_selectable=True)
    return present.exclude(pk=folder.pk).exclude(special_use__in=views)
