"""The order of folders: uses first, then the tree."""

from __future__ import annotations

import pytest

from mailstore.folder_tree import folder_tree
from mailstore.models import Folder

USES = {"INBOX": "inbox", "Sent": "sent", "INBOX.Sent": "sent", "Archive": "archive", "[Gmail]/Trash": "trash"}


def tree(*names: str, delimiter: str = "/", closed: tuple[str, ...] = ()) -> list[str]:
    folders = [
        Folder(
            pk=pk,
            name=name,
            delimiter=delimiter,
            special_use=USES.get(name, ""),
            is_selectable=name not in closed,
        )
        for pk, name in enumerate(names, start=1)
    ]
    return [f"{'  ' * line.depth}{line.label}" for line in folder_tree(folders, {})]


@pytest.mark.proves("H1")
def test_folders_with_a_use_stand_on_top_under_their_usual_name():
    assert tree("Zebra", "Archive", "Sent", "INBOX", "apple", "[Gmail]/Trash") == [
        *("Inbox", "Sent", "Archive", "Trash", "apple", "Zebra"),
    ]


def test_children_follow_their_parents():
    assert tree("A", "A/B", "A/B/C", "A/B/C/D/E", "AA", "Archive/2024", "Archive") == [
        *("Archive", "  2024", "A", "  B", "    C", "      D/E", "AA"),
    ]


def test_a_second_folder_of_the_same_use_keeps_its_name():
    assert tree("INBOX", "Sent", "INBOX.Sent", delimiter=".") == ["Inbox", "  Sent", "Sent"]


def test_a_server_that_keeps_everything_below_the_inbox_shows_it_beside_the_inbox():
    assert tree("INBOX", "INBOX.Work", "INBOX.Work.2024", "INBOX.Sent", delimiter=".") == [
        *("Inbox", "Sent", "Work", "  2024"),
    ]
    assert tree("INBOX", "INBOX/Work", "Other") == ["Inbox", "  Work", "Other"]


def test_a_folder_that_only_holds_others_is_shown_with_them_and_not_without():
    assert tree("A", "A/B", "C", closed=("A", "C")) == ["A", "  B"]


def test_names_without_a_delimiter_and_strange_names_are_shown():
    assert tree("a/b", "a", "x//y", "/", delimiter="") == ["/", "a", "a/b", "x//y"]
    assert sorted(label.strip() for label in tree("//", "/x", "x/", "x")) == ["//", "/x", "x", "x/"]


def test_deep_folders_stand_on_the_last_level_that_is_drawn():
    names = ["/".join("abcdefgh"[: depth + 1]) for depth in range(8)]
    assert tree(*names)[-1] == "      h"
