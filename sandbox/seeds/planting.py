"""Files the seeded mail into the mailboxes, as if everybody had worked with it for ten months."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sandbox.people import PEOPLE
from sandbox.seeds.automatic import letters_from_machines
from sandbox.seeds.composing import compose
from sandbox.seeds.letter import Letter
from sandbox.seeds.oddities import odd_letters
from sandbox.seeds.reading import newsletters, unwanted, welcomes
from sandbox.seeds.script import letters_written_by_hand
from sandbox.store import INBOX, Flags, Store

_DAY: Final = 86400
ARCHIVED_AFTER: Final = 120 * _DAY

FOLDERS: Final = {"Drafts": "\\Drafts", "Sent": "\\Sent", "Archive": "\\Archive", "Spam": "\\Junk", "Trash": "\\Trash"}
_EXTRA_FOLDERS: Final = {
    "alice": ("Projects/2026",),
    "bob": ("Projects/2026",),
    "carol": ("Projects/2026", "Zamówienia"),
    "support": (),
}
_THROWN_AWAY: Final = ("Delivered: ", "Your Cloudshelf bill")  # beginnings of subjects that end in Trash after a month


def plant(store: Store, now: int) -> None:
    """Make folders and mail of all people; `now` is Unix time. Call it inside a transaction."""
    for person in PEOPLE:
        _make_folders(store, person.address)
    letters = [
        *letters_written_by_hand(now),
        *letters_from_machines(now),
        *newsletters(now),
        *unwanted(now),
        *odd_letters(now),
        *welcomes(now),
    ]
    answered = {(id(letter.parent), letter.sender.address) for letter in letters if not letter.draft}
    for letter in sorted(letters, key=lambda letter: letter.at):
        raw = compose(letter)
        for key, name, flags in _copies(letter, now, answered):
            folder = store.folder(f"{key}@sandbox.test", name)
            store.add([folder.pk], raw, flags=flags, internal_at=letter.at)
    for person in PEOPLE:
        for folder in store.folders(person.address):
            store.claim_recent(folder)


def _make_folders(store: Store, address: str) -> None:
    key = address.partition("@")[0]
    store.create_folder(address, INBOX)
    for name, special_use in FOLDERS.items():
        store.create_folder(address, name, special_use)
    for name in _EXTRA_FOLDERS[key]:
        store.create_folder(address, name)
    for folder in store.folders(address):
        store.subscribe(address, folder.name)


def _copies(letter: Letter, now: int, answered: set[tuple[int, str]]) -> Iterator[tuple[str, str, Flags]]:
    """Yield whose copy lies in which folder with which flags."""
    writer = _resident(letter.sender.address)
    if letter.draft:
        yield writer or "support", "Drafts", frozenset({"\\Draft", "\\Seen"})
        return
    if writer:
        yield writer, "Sent", frozenset({"\\Seen"})
    named = [_resident(contact.address) for contact in (*letter.to, *letter.cc)]
    for key in dict.fromkeys((*named, *letter.readers)):
        if key is None or (key == writer and key not in letter.readers):
            continue
        flags = set() if letter.unread else {"\\Seen"}
        if (id(letter), f"{key}@sandbox.test") in answered:
            flags |= {"\\Answered", "\\Seen"}
        if letter.flagged:
            flags.add("\\Flagged")
        yield key, _folder_of(letter, key, now), frozenset(flags)


def _resident(address: str) -> str | None:
    return address.partition("@")[0] if any(person.address == address for person in PEOPLE) else None


def _folder_of(letter: Letter, key: str, now: int) -> str:
    """Where the reader keeps it: what is filed by hand once it is read, what is old, what is thrown away, the rest."""
    age = now - letter.at
    filed = letter.folders.get(key)
    if filed and (filed == "Spam" or (age > 4 * _DAY and not letter.unread)):
        return filed
    if letter.subject.startswith(_THROWN_AWAY) and age > 30 * _DAY:
        return "Trash"
    return "Archive" if age > ARCHIVED_AFTER else INBOX
