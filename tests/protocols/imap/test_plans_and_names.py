"""The pure part of IMAP: sets of UIDs, ranges to fetch, folder names, dates."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.errors import ProtocolViolation, UnsafeArgument
from protocols.imap.fetching import internal_date
from protocols.imap.folders import FolderEntry, SpecialUse, decode_name, encode_name, with_guesses
from protocols.imap.plan import FolderState, UidSet, epoch_changed, is_sparse, next_ranges, number_ranges
from protocols.imap.responses import means_later, response_code, tokens

uids = st.sets(st.integers(1, 60))


@given(uids, uids)
def test_uid_sets_behave_like_sets(left: set[int], right: set[int]) -> None:
    assert set(UidSet(left) | UidSet(right)) == left | right
    assert set(UidSet(left) - UidSet(right)) == left - right
    assert set(UidSet(left) & UidSet(right)) == left & right
    assert len(UidSet(left)) == len(left)
    assert all((uid in UidSet(left)) == (uid in left) for uid in range(70))
    assert UidSet.parse(str(UidSet(left))) == UidSet(left)


@given(uids, st.integers(1, 70), st.integers(1, 70))
def test_a_set_covers_a_span_when_nothing_of_it_is_missing(held: set[int], start: int, stop: int) -> None:
    missing = [uid for gap in UidSet(held).missing(range(start, stop)) for uid in gap]
    assert missing == [uid for uid in range(start, stop) if uid not in held]
    assert UidSet(held).covers(start, stop) is (not missing)


@given(uids, st.integers(1, 70), st.integers(1, 9))
def test_next_ranges_ask_for_each_missing_uid_once_newest_first(done: set[int], uidnext: int, size: int) -> None:
    ranges = list(next_ranges(UidSet(done), uidnext, size))
    asked = [uid for part in ranges for uid in part]
    assert sorted(asked) == [uid for uid in range(1, uidnext) if uid not in done]
    assert all(len(part) <= size for part in ranges)
    assert [part.start for part in ranges] == sorted((part.start for part in ranges), reverse=True)


@pytest.mark.parametrize(("text", "members"), [("1:3,9", [1, 2, 3, 9]), ("5:2", [2, 3, 4, 5]), ("", []), ("7", [7])])
def test_sets_are_read_as_servers_write_them(text: str, members: list[int]) -> None:
    assert list(UidSet.parse(text)) == members


@pytest.mark.parametrize("text", ["0", "1:4294967296", "1:*", "x", "1,,2", "-1", "1:2:3", "٣"])
def test_sets_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(ProtocolViolation):
        UidSet.parse(text)


def test_a_large_set_is_small_and_goes_out_in_short_lines() -> None:
    assert str(UidSet([range(1, 200_001)])) == "1:200000"
    scattered = UidSet(range(1, 200_001, 2))
    chunks = list(scattered.chunks())
    assert all(len(str(chunk)) <= 4000 for chunk in chunks)
    assert sum(map(len, chunks)) == 100_000


def test_the_newest_range_comes_first() -> None:
    assert next(next_ranges(UidSet(), uidnext=101, size=50)) == range(51, 101)


@pytest.mark.proves("R24")
def test_sparse_uids_are_walked_by_message_numbers() -> None:
    assert is_sparse(FolderState(1, uidnext=4_294_967_295, exists=1), 500)
    assert not is_sparse(FolderState(1, uidnext=20_001, exists=20_000), 500)
    assert not is_sparse(FolderState(1, uidnext=2_000, exists=3), 500)
    assert list(number_ranges(1, 500)) == [range(1, 2)]
    assert list(number_ranges(0, 500)) == []
    assert list(number_ranges(1001, 500)) == [range(502, 1002), range(2, 502), range(1, 2)]


def test_a_smaller_uidvalidity_voids_the_stored_uids() -> None:
    assert epoch_changed(FolderState(7), FolderState(6))
    assert not epoch_changed(FolderState(7), FolderState(7))
    assert not epoch_changed(None, FolderState(7))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0")))
def test_folder_names_survive_modified_utf_7(name: str) -> None:
    encoded = encode_name(name)
    assert encoded.isascii()
    assert decode_name(encoded) == name


@pytest.mark.parametrize(
    ("name", "raw_name"),
    [
        ("Entwürfe", b"Entw&APw-rfe"),
        ("A&B", b"A&-B"),
        ("台北", b"&U,BTFw-"),
        ("日本語", b"&ZeVnLIqe-"),
        ("~peter", b"~peter"),
    ],
)
def test_known_names_are_encoded_as_the_rfc_says(name: str, raw_name: bytes) -> None:
    assert encode_name(name) == raw_name
    assert decode_name(raw_name) == name


@pytest.mark.parametrize(
    "raw_name", [b"&", b"&AP", b"&A-", b"&====-", b"&2D3eAA-", b"&&&", b"\xff\xfe", b"gr\xc3\xb6\xc3\x9fe"]
)
def test_broken_names_are_shown_and_never_refused(raw_name: bytes) -> None:
    assert decode_name(raw_name)


@pytest.mark.parametrize("name", ["a\0b", "a\nb", "a\rb"])
def test_a_name_with_a_line_break_or_nul_is_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(UnsafeArgument, match="choose another name"):
        encode_name(name)


def folder(name: str, *flags: str, use: SpecialUse | None = None) -> FolderEntry:
    return FolderEntry(name, encode_name(name), "/", frozenset(flags), use)


def test_uses_are_guessed_by_name_only_where_the_server_named_none() -> None:
    listed = [
        folder("INBOX"),
        folder("INBOX/Gesendete Elemente"),
        folder("Papierkorb"),
        folder("Projekte/2020/Trash"),
        folder("Entwürfe", use=SpecialUse.DRAFTS),
        folder("Drafts"),
        folder("Спам"),
        folder("Archive", r"\noselect"),
    ]
    uses = {entry.name: entry.special_use for entry in with_guesses(listed)}
    assert uses == {
        "INBOX": None,
        "INBOX/Gesendete Elemente": SpecialUse.SENT,
        "Papierkorb": SpecialUse.TRASH,
        "Projekte/2020/Trash": None,
        "Entwürfe": SpecialUse.DRAFTS,
        "Drafts": None,
        "Спам": SpecialUse.JUNK,
        "Archive": None,
    }


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        (b"17-Jul-1996 02:44:25 -0700", datetime(1996, 7, 17, 9, 44, 25, tzinfo=UTC)),
        (b" 1-Feb-2026 00:00:00 +0530", datetime(2026, 1, 31, 18, 30, tzinfo=UTC)),
        (b"31-Dec-1998 23:59:60 +0000", datetime(1998, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (b"31-Feb-2026 00:00:00 +0000", None),
        (b"01-Jan-0001 00:00:00 +2300", None),
        (b"yesterday, around five o'clock", None),
        (b"", None),
    ],
)
def test_dates_are_read_or_left_out(written: bytes, moment: datetime | None) -> None:
    assert internal_date(written) == moment


def test_tokens_are_told_apart() -> None:
    read = tokens([b'(\\Seen "NIL" nil BODY[HEADER.FIELDS (TO CC)]<0> "a\\"b" ', b"lit\r\n)", b" () 7)"])
    assert read == [
        [b"\\Seen", b"NIL", None, b"BODY[HEADER.FIELDS (TO CC)]<0>", b'a"b', b"lit\r\n)", [], b"7"],
    ]


@pytest.mark.parametrize("text", [b"(", b")", b'"open', b"(a))", b"(" * 99 + b")" * 99])
def test_what_is_no_response_is_a_violation(text: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        tokens([text])


@pytest.mark.proves("R15")
@pytest.mark.parametrize(
    ("reply", "later"),
    [
        ("[UNAVAILABLE] x", True),
        ("[ALERT] Too many simultaneous connections. (Failure)", True),
        ("Maximum number of connections from user+IP exceeded", True),
        ("User is authenticated but not connected.", True),
        ("Temporary system problem. Please try again later.", True),
        ("[OVERQUOTA] Mailbox is full", False),
        ("[NONEXISTENT] Unknown Mailbox", False),
        ("Account is blocked. Login to your account via a web browser", False),
        ("Invalid credentials", False),
    ],
)
def test_refusals_about_load_mean_later(reply: str, later: bool) -> None:
    assert means_later(reply) is later


def test_response_codes_are_read_from_the_servers_words() -> None:
    assert response_code("[appenduid 38505 3955] APPEND completed") == ("APPENDUID", "38505 3955")
    assert response_code("no code [here]") == ("", "")
