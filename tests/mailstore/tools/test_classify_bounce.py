"""`manage.py classify_bounce`: one JSON object per file, with a result per recipient."""

import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "bounces"


def told(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.proves("I7")
def test_each_file_gives_a_line_and_each_recipient_a_result(capsys):
    files = [str(SAMPLES / f"{name}.eml") for name in ("postfix-two-recipients", "vacation", "none-newsletter")]
    call_command("classify_bounce", *files, "--json")
    assert told(capsys) == [
        {
            "file": files[0],
            "results": [
                {"recipient": "bob@receiver.example", "status": "4.2.2", "kind": "soft", "reason": "mailboxfull"},
                {"recipient": "carol@nowhere.example", "status": "5.4.4", "kind": "hard", "reason": "hostunknown"},
            ],
        },
        {
            "file": files[1],
            "results": [{"recipient": "bob@receiver.example", "status": "", "kind": "none", "reason": "vacation"}],
        },
        {"file": files[2], "results": []},
    ]


@pytest.mark.parametrize("raw", [b"", b"\0", b"\xff" * 1000, b"Content-Type: multipart/report\n\n--"])
def test_what_is_no_message_has_no_results(tmp_path, capsys, raw):
    (tmp_path / "odd.eml").write_bytes(raw)
    call_command("classify_bounce", str(tmp_path / "odd.eml"))
    assert [line["results"] for line in told(capsys)] == [[]]


def test_a_file_that_cannot_be_read_does_not_keep_the_others_back(tmp_path, capsys):
    there = str(SAMPLES / "qmail.eml")
    with pytest.raises(CommandError, match=r"missing\.eml cannot be read: No such file or directory\."):
        call_command("classify_bounce", str(tmp_path / "missing.eml"), there)
    assert [line["file"] for line in told(capsys)] == [there]
