"""Address lists, honest and hostile. Expected values are written out: (name, address) in order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.message.addresses import _Scanner, _simple_list, parse_addresses
from tests.effort import grows_in_step

BOB = "bob@example.org"

# What stands in the field -> what a reader is shown. The second value is always the one that mail would go to.
TABLE = [
    ("", []),
    ("bob@example.org", [("", BOB)]),
    ("Bob <bob@example.org>", [("Bob", BOB)]),
    ('"Builder, Bob" <bob@example.org>', [("Builder, Bob", BOB)]),
    ("Bob <bob@example.org>, ann@example.org", [("Bob", BOB), ("", "ann@example.org")]),
    ("bob@example.org (Bob the Builder)", [("Bob the Builder", BOB)]),
    ("bob@example.org; ann@example.org", [("", BOB), ("", "ann@example.org")]),
    (",, bob@example.org ,,", [("", BOB)]),
    ("Bob <>", [("Bob", "")]),
    ("<bob@example.org", [("", BOB)]),
    ("bob @ example.org", [("", BOB)]),
    ("John Smith bob@example.org", [("John Smith", BOB)]),
    ('"bob b"@example.org', [("", '"bob b"@example.org')]),
    ('<"bob>b"@example.org>', [("", '"bob>b"@example.org')]),
    ("bob@[192.0.2.1]", [("", "bob@[192.0.2.1]")]),
    ("bob@[IPv6:2001:db8::1]", [("", "bob@[IPv6:2001:db8::1]")]),
    ("<@relay.example,@two.example:bob@example.org>", [("", BOB)]),
    ("<bob@example.org (Bob)>", [("", BOB)]),
    ("Bob\\ <bob@example.org>", [("Bob\\", BOB)]),
    ('"Bob \\"B\\" Builder" <bob@example.org>', [('Bob "B" Builder', BOB)]),
    ("MAILER-DAEMON", [("MAILER-DAEMON", "")]),
    ("root (Cron Daemon)", [("root (Cron Daemon)", "")]),
    ("Moderator <moderator>", [("Moderator", "moderator")]),
    # Groups (RFC 5322, 3.4)
    ("undisclosed-recipients:;", []),
    ("Team: bob@example.org, Ann <ann@example.org>;", [("", BOB), ("Ann", "ann@example.org")]),
    ("Team: bob@example.org; ann@example.org", [("", BOB), ("", "ann@example.org")]),
    ("A:;, B: bob@example.org;", [("", BOB)]),
    ("boss@bank.example:bob@example.org;", [("", "boss@bank.example"), ("", BOB)]),
    # Encoded words never become an address, a comma or a bracket (RFC 2047, 5)
    ("=?utf-8?q?J=C3=B6rg?= <bob@example.org>", [("Jörg", BOB)]),
    ("=?utf-8?q?boss=40bank.example?= <bob@example.org>", [("boss@bank.example", BOB)]),
    ("=?utf-8?q?boss=40bank.example?=", [("boss@bank.example", "")]),
    ("<=?utf-8?q?boss=40bank.example?=>", [("boss@bank.example", "")]),
    ("=?utf-8?q?=3Cboss=40bank.example=3E?= <bob@example.org>", [("<boss@bank.example>", BOB)]),
    ("=?utf-8?q?Bob=2C_boss=40bank.example?= <bob@example.org>", [("Bob, boss@bank.example", BOB)]),
    ("=?utf-8?b?Ym9zc0BiYW5rLmV4YW1wbGUsIA==?= bob@example.org", [("boss@bank.example,", BOB)]),
    ("=?utf-8?q?boss=40bank.example=00?= <bob@example.org>", [("boss@bank.example", BOB)]),
    ("=?utf-8?q?a=0D=0ABcc=3A_x=40y.example?= <bob@example.org>", [("a Bcc: x@y.example", BOB)]),
    ("=?utf-8?q?boss?=@bank.example", [("", "=?utf-8?q?boss?=@bank.example")]),
    ('"=?utf-8?q?J=C3=B6rg?=" <bob@example.org>', [("Jörg", BOB)]),
    # Names that look like addresses: what stands in the brackets is the address (CVE-2023-27043)
    ('"boss@bank.example" <bob@example.org>', [("boss@bank.example", BOB)]),
    ("boss@bank.example <bob@example.org>", [("boss@bank.example", BOB)]),
    ("boss@bank.example<bob@example.org>", [("boss@bank.example", BOB)]),
    ('"<boss@bank.example>" <bob@example.org>', [("<boss@bank.example>", BOB)]),
    ('"boss@bank.example" bob@example.org', [("boss@bank.example", BOB)]),
    ("(boss@bank.example) <bob@example.org>", [("boss@bank.example", BOB)]),
    ("bob@example.org (<boss@bank.example>)", [("<boss@bank.example>", BOB)]),
    ('"Boss\\" <boss@bank.example>" <bob@example.org>', [('Boss" <boss@bank.example>', BOB)]),
    ("boss@bank.example)bob@example.org", [("", "boss@bank.example"), ("", BOB)]),
    ("<boss@bank.example> <bob@example.org>", [("", "boss@bank.example"), ("", BOB)]),
    ("<boss@bank.example>bob@example.org", [("", "boss@bank.example"), ("", BOB)]),
    ("<boss@bank.example bob@example.org>", [("boss@bank.example bob@example.org", "")]),
    ("boss@bank.example@example.org", [("", "boss@bank.example@example.org")]),
    ("Boss\u202e <bob@example.org>", [("Boss", BOB)]),
    ("<bob\0@example.org>", [("", BOB)]),
    ("b\u043eb@example.org", [("", "b\u043eb@example.org")]),  # a Cyrillic letter stays what it is, never "corrected"
    ("bob@ex\u00e4mple.org", [("", "bob@ex\u00e4mple.org")]),
    # Marks that nobody closed
    ('"Bob <bob@example.org>', [("Bob", BOB)]),
    ("Bob (the builder <bob@example.org>", [("Bob the builder", BOB)]),
    ("Bob <<bob@example.org>>", [("Bob", BOB)]),
]


@pytest.mark.proves("T28")
@pytest.mark.parametrize(("field", "expected"), TABLE, ids=[field[:50] or "empty" for field, _ in TABLE])
def test_an_address_field_shows_where_mail_would_go(field: str, expected: list[tuple[str, str]]):
    found = parse_addresses([field.encode()]).addresses
    assert [(address.name, address.address) for address in found] == expected


def test_fields_that_hide_something_are_marked():
    assert parse_addresses([b"<a@example.org> <b@example.org>"]).defects == ("ambiguous_address",)
    assert parse_addresses([b"a@example.org@example.com"]).defects == ("malformed_address",)
    assert parse_addresses([b"Ann <a@example.org>"]).defects == ()


def test_the_same_field_twice_gives_all_its_addresses():
    both = parse_addresses([b"a@example.org", b"B <b@example.org>"]).addresses
    assert [address.address for address in both] == ["a@example.org", "b@example.org"]


def test_octets_without_encoding_are_read_as_utf_8_or_as_the_body():
    assert parse_addresses(["Jörg <j@example.org>".encode()]).addresses[0].name == "Jörg"
    assert parse_addresses(["Иван <i@example.org>".encode("koi8-r")], "koi8-r").addresses[0].name == "Иван"
    assert parse_addresses(["Jörg <j@example.org>".encode("latin-1")]).addresses[0].name == "Jörg"


def test_no_more_addresses_are_read_than_the_limit_says():
    found = parse_addresses([b"a@example.org, " * 6_000])
    assert len(found.addresses) == 5_000
    assert found.defects == ("too_many_addresses",)


@pytest.mark.proves("T13")
@pytest.mark.parametrize(
    "unit",
    [
        '"',
        "(",
        "<",
        '\\"',
        '<"\\"',
        '<"a<"',
        "(\\",
        "a@b c:",
        ":",
        ";",
        " ",
        "@ ",
        "a ",
        '"a" ',
        "()",
        "<@a,",
        "[",
        "=?",
    ],
)
def test_a_hostile_field_takes_linear_time(unit: str):
    field = (unit * 100_000)[:100_000].encode()
    assert grows_in_step(lambda value: parse_addresses([value]), field)


FIELD_TEXT = st.text(alphabet=st.sampled_from('ab@.,;:<>()[]"\\ =?utf-8q_\té'), max_size=60)


@given(FIELD_TEXT)
def test_any_field_is_read_without_an_error(field: str):
    for address in parse_addresses([field.encode()]).addresses:
        assert address.name or address.address
        assert not set(address.address) & set("\n\0")


@given(FIELD_TEXT)
def test_the_short_way_agrees_with_the_scanner(field: str):
    simple = _simple_list(field, 100)
    if simple is not None:
        scanner = _Scanner(field, 100)
        scanner.run()
        assert scanner.found == simple
