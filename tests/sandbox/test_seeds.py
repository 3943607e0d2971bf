"""What a newcomer finds."""

from __future__ import annotations

import csv
import email
import email.policy
import re
import time
import zlib
from collections.abc import Iterator
from email.message import EmailMessage
from io import StringIO
from pathlib import Path

import pytest

from sandbox.__main__ import open_store
from sandbox.people import PEOPLE
from sandbox.seeds.composing import compose
from sandbox.seeds.script import letters_written_by_hand
from sandbox.store import Row, Store
from tests.sandbox.running import ALICE, BOB, CAROL, SUPPORT


@pytest.fixture(scope="module")
def store(seeded: Path) -> Iterator[Store]:
    with open_store(seeded) as opened:
        yield opened


def rows(store: Store) -> Iterator[tuple[str, str, Row]]:
    for person in PEOPLE:
        for folder in store.folders(person.address):
            for row in store.rows(folder.pk, store.uids(folder.pk)):
                yield person.address, folder.name, row


@pytest.fixture(scope="module")
def messages(store: Store) -> list[EmailMessage]:
    return [email.message_from_bytes(store.raw(row.content_pk), policy=email.policy.default) for *_, row in rows(store)]


def sound(messages: list[EmailMessage]) -> list[EmailMessage]:
    return [message for message in messages if not message.defects]


def parts(messages: list[EmailMessage], content_type: str) -> list[EmailMessage]:
    return [part for message in messages for part in message.walk() if part.get_content_type() == content_type]


def test_there_are_about_three_hundred_messages(messages: list[EmailMessage]) -> None:
    assert 280 <= len(messages) <= 340


def test_exactly_one_message_is_broken(messages: list[EmailMessage]) -> None:
    assert len(messages) - len(sound(messages)) == 1


def test_every_other_message_can_be_decoded_completely(messages: list[EmailMessage]) -> None:
    for message in sound(messages):
        for part in message.walk():
            assert part.is_multipart() or part.get_content() is not None
            assert not part.defects
            if part.get_content_maintype() == "text":
                assert "\N{REPLACEMENT CHARACTER}" not in part.get_content()
        assert all("\N{REPLACEMENT CHARACTER}" not in str(value) for value in message.values())


def test_lines_end_with_crlf_and_stay_below_the_limit_of_rfc_5322(store: Store) -> None:
    for *_, row in rows(store):
        raw = store.raw(row.content_pk)
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n", raw)
        assert max(map(len, raw.split(b"\r\n"))) <= 998


def test_the_newest_is_minutes_old_and_the_oldest_months(store: Store) -> None:
    ages = [time.time() - row.internal_at for *_, row in rows(store)]
    assert 60 < min(ages) < 1800
    assert 240 < max(ages) / 86400 < 330


@pytest.mark.parametrize("address", [ALICE, BOB, CAROL, SUPPORT])
def test_each_inbox_has_a_plausible_number_of_unread_messages(store: Store, address: str) -> None:
    counts = store.counts(store.folder(address, "INBOX"))
    assert 5 <= counts.unseen <= 15 < counts.messages


def test_a_message_that_its_reader_answered_is_marked_answered(store: Store) -> None:
    flags = [row.flags for *_, row in rows(store)]
    assert sum("\\Answered" in each for each in flags) > 20
    assert all("\\Seen" in each for each in flags if "\\Answered" in each)
    assert sum("\\Flagged" in each for each in flags) >= 3
    assert sum("\\Draft" in each for each in flags) == 3


def test_nobody_has_the_same_message_twice_in_a_folder(store: Store) -> None:
    seen = [(address, name, row.content_pk) for address, name, row in rows(store)]
    assert len(set(seen)) == len(seen)


def test_answers_name_their_whole_conversation(messages: list[EmailMessage]) -> None:
    known = {message["Message-ID"] for message in messages}
    answers = [message for message in messages if message["In-Reply-To"]]
    longest = max(len(message["References"].split()) for message in answers)
    assert len(answers) > 100
    assert 5 <= longest <= 8
    for answer in answers:
        references = answer["References"].split()
        assert references[-1] == answer["In-Reply-To"]
        assert set(references) <= known


def test_no_letter_is_from_the_future_or_older_than_what_it_answers() -> None:
    for hour in range(24):
        now = 1_790_000_000 + hour * 3600
        for letter in letters_written_by_hand(now):
            assert letter.at < now
            assert letter.parent is None or letter.parent.at < letter.at


def test_the_same_start_makes_the_same_octets() -> None:
    first, second = ([compose(letter) for letter in letters_written_by_hand(1_790_000_000)] for _ in range(2))
    assert first == second


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "iso-2022-jp", "windows-1250", "us-ascii"])
def test_each_charset_occurs(messages: list[EmailMessage], charset: str) -> None:
    assert any(part.get_content_charset() == charset for part in parts(messages, "text/plain"))


@pytest.mark.parametrize("word", ["Größere", "dętki", "田中です", "درّاجة", "🍜"])
def test_each_script_survives_its_encoding(messages: list[EmailMessage], word: str) -> None:
    assert any(word in part.get_content() for part in parts(sound(messages), "text/plain"))


def test_pictures_have_valid_checksums(messages: list[EmailMessage]) -> None:
    pictures = [part.get_content() for part in parts(messages, "image/png")]
    assert pictures
    for picture in pictures:
        at = 8
        while at < len(picture):
            size = int.from_bytes(picture[at : at + 4], "big")
            checksum = int.from_bytes(picture[at + 8 + size : at + 12 + size], "big")
            assert zlib.crc32(picture[at + 4 : at + 8 + size]) == checksum
            at += 12 + size


def test_pdfs_point_to_their_objects(messages: list[EmailMessage]) -> None:
    pdfs = [part.get_content() for part in parts(messages, "application/pdf")]
    assert len(pdfs) > 10
    for pdf in pdfs:
        table = int(re.search(rb"startxref\n(\d+)", pdf)[1])
        offsets = re.findall(rb"(\d{10}) 00000 n", pdf[table:])
        assert all(pdf[int(at) :].startswith(b"%d 0 obj" % number) for number, at in enumerate(offsets, 1))


def test_tables_can_be_read(messages: list[EmailMessage]) -> None:
    tables = [part.get_content() for part in parts(sound(messages), "text/csv")]
    assert any(len(list(csv.reader(StringIO(text)))) > 10 for text in tables)


def test_names_of_files_may_be_other_than_ascii(messages: list[EmailMessage]) -> None:
    names = {part.get_filename() for message in messages for part in message.walk()}
    assert {"Angebot_für_Brandt.pdf", "Zamówienie_wiosna.csv"} <= names


def test_html_shows_an_inline_picture_and_asks_for_remote_ones(messages: list[EmailMessage]) -> None:
    pages = "".join(part.get_content() for part in parts(sound(messages), "text/html"))
    shown = {f"<{cid}>" for cid in re.findall(r"cid:([^\"]+)", pages)}
    attached = {part["Content-ID"] for message in messages for part in message.walk() if part["Content-ID"]}
    assert shown
    assert shown <= attached
    assert 'src="https://' in pages


def test_a_kill_while_seeding_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Store, "claim_recent", fail)
        with pytest.raises(KeyboardInterrupt):
            open_store(tmp_path)
    with Store(tmp_path / "mail.sqlite3") as interrupted:
        assert interrupted.folders(ALICE) == []
    with open_store(tmp_path) as store:
        assert store.counts(store.folder(ALICE, "INBOX")).messages > 30


def test_all_letters_of_a_conversation_mean_the_same_day() -> None:
    letters = letters_written_by_hand(1_790_000_000)
    visit = [letter.text.split(">")[0] for letter in letters if "Fleet check" in letter.subject]
    day = re.search(r"tension check on (\d+ \w+)\?", visit[0])
    assert day
    assert f"{day[1]} at 14:00" in visit[1]
