"""`manage.py thread_messages`: one JSON object per mbox file, and the conversations that the sync makes."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from mailstore.models import Conversation
from protocols.message.mbox import split_mbox
from tests.mailstore.receiving.conftest import claim, inbox, packs, schedule, store  # noqa: F401  fixtures
from tests.mailstore.receiving.letters import fetched, letter

SEPARATOR = b"From carol@example.com Tue Mar 10 12:00:00 2026\r\n"
LETTERS = [letter(1), letter(2, answers=1), letter(3), letter(4, answers=9), letter(5, answers=9), letter(6, answers=2)]
BOX = b"".join(SEPARATOR + raw + b"\r\n" for raw in LETTERS)


@pytest.fixture
def thread(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[dict[str, object]]]:
    """Thread the given octets, each in a file of its own; return the objects printed."""

    def run(*boxes: bytes, options: tuple[str, ...] = ()) -> list[dict[str, object]]:
        files = [tmp_path / f"{number}.mbox" for number in range(len(boxes))]
        for file, octets in zip(files, boxes, strict=True):
            file.write_bytes(octets)
        call_command("thread_messages", *map(str, files), *options)
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line["file"] for line in lines] == list(map(str, files))
        return lines

    return run


def test_messages_that_name_each_other_are_one_thread(thread):
    [told] = thread(BOX)
    names = [[f"{number}@example.com" for number in thread] for thread in ([1, 2, 6], [3], [4, 5])]
    assert told["threads"] == names


def test_many_files_give_a_line_each_and_json_is_a_word_more(thread):
    threads = [told["threads"] for told in thread(BOX, b"", SEPARATOR + letter(7), options=("--json",))]
    assert [len(found) for found in threads] == [3, 0, 1]


@pytest.mark.django_db
def test_it_says_what_the_sync_does(thread, store):  # noqa: F811
    store(*(fetched(uid, raw) for uid, raw in enumerate(split_mbox(BytesIO(BOX)), 1)))
    stored = {
        frozenset(conversation.messages.values_list("message_id", flat=True))
        for conversation in Conversation.objects.all()
    }
    [told] = thread(BOX)
    assert {frozenset(names) for names in told["threads"]} == stored


def test_files_that_cannot_be_read_do_not_keep_the_others_back(tmp_path, capsys):
    (tmp_path / "there.mbox").write_bytes(BOX)
    (tmp_path / "one.eml").write_bytes(letter(1))
    with pytest.raises(CommandError, match=r"missing cannot be read: No such file.*one\.eml is no mbox file\. It does"):
        call_command("thread_messages", *(str(tmp_path / name) for name in ("missing", "one.eml", "there.mbox")))
    assert len(json.loads(capsys.readouterr().out)["threads"]) == 3
