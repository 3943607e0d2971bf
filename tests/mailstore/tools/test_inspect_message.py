"""`manage.py inspect_message`: one JSON object per file, whatever the file holds."""

import hashlib
import json

import pytest
from django.core.management import CommandError, call_command

LETTER = (
    b"From: =?utf-8?q?J=C3=B6rg?= <joerg@example.org>\r\nTo: a@example.org, B <b@example.org>\r\nCc: c@example.org\r\n"
    b"Reply-To: desk@example.org\r\nSubject: Two\r\n parts\r\nDate: Tue, 3 Mar 2026 10:42:00 +0100\r\n"
    b"Message-ID: <own@x>\r\nIn-Reply-To: <before@x>\r\nReferences: <first@x> <before@x>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\nGr\xfc\xdfe\r\n"
    b"--b\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--b--\r\n"
)


@pytest.fixture
def inspect(tmp_path, capsys):
    """Inspect the given octets, each in a file of its own; return the objects printed."""

    def run(*messages, options=()):
        files = []
        for number, raw in enumerate(messages):
            (tmp_path / f"{number}.eml").write_bytes(raw)
            files.append(str(tmp_path / f"{number}.eml"))
        call_command("inspect_message", *files, *options)
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line["file"] for line in lines] == files
        return lines

    return run


def test_a_message_is_told_whole(inspect):
    [told] = inspect(LETTER)
    del told["file"]
    pdf = {"path": "2", "type": "application/pdf", "filename": "a.pdf", "disposition": "attachment", "cid": ""}
    text = {"path": "1", "type": "text/plain", "filename": "", "disposition": "", "cid": ""}
    assert told == {
        "subject": "Two parts",
        "from": [{"name": "Jörg", "address": "joerg@example.org"}],
        "to": [{"name": "", "address": "a@example.org"}, {"name": "B", "address": "b@example.org"}],
        "cc": [{"name": "", "address": "c@example.org"}],
        "reply_to": [{"name": "", "address": "desk@example.org"}],
        "date": "2026-03-03T09:42:00+00:00",
        "message_id": "own@x",
        "in_reply_to": ["before@x"],
        "references": ["first@x", "before@x"],
        "text": "Grüße",
        "html": None,
        "parts": [
            text | {"size": 5, "sha256": hashlib.sha256(b"Gr\xfc\xdfe").hexdigest()},
            pdf | {"size": 5, "sha256": hashlib.sha256(b"hello").hexdigest()},
        ],
        "defects": [],
    }


def test_many_files_give_a_line_each_and_json_is_a_word_more(inspect):
    assert [told["subject"] for told in inspect(b"Subject: a\n\n", b"Subject: b\n\n", options=["--json"])] == ["a", "b"]


@pytest.mark.parametrize(
    "raw", [b"", b"\0", b"no header at all", b"\xff" * 1000, b"Content-Type: multipart/mixed\n\n--"]
)
def test_what_is_no_message_is_told_with_its_defects(inspect, raw):
    [told] = inspect(raw)
    assert "no_from" in told["defects"]
    assert told["message_id"] is None


def test_a_file_that_cannot_be_read_does_not_keep_the_others_back(tmp_path, capsys):
    (tmp_path / "there.eml").write_bytes(LETTER)
    with pytest.raises(CommandError, match=r"missing\.eml cannot be read: No such file or directory\."):
        call_command("inspect_message", str(tmp_path / "missing.eml"), str(tmp_path / "there.eml"))
    assert json.loads(capsys.readouterr().out)["subject"] == "Two parts"
