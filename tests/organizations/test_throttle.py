"""Guessing passwords is slow from anywhere, and keeps nobody out but the guesser (spec A2, threat T23)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine
from django.core import signing
from django.test import Client, RequestFactory
from django.utils import timezone

from organizations import throttle
from organizations.invitations import invite
from organizations.models import AuditEntry, User
from organizations.throttle import ADDRESS, BROWSER, PAIR, PAIR_PER_HOUR, SOURCE, TooManyAttempts
from tests.conftest import PASSWORD

pytestmark = pytest.mark.proves("A2", "T23")

LOGIN = "/account/login/"
HOME, CAFE = "198.51.100.7", "203.0.113.9"


def tries(address: str, password: str, source: str, client: Client | None = None) -> str:
    """ "in", or the sentence that the page shows."""
    client = client or Client()
    answer = client.post(LOGIN, {"login": address, "password": password}, REMOTE_ADDR=source)
    if answer.status_code == 302:
        return "in"
    page = answer.content.decode()
    sentences = [limit.words for limit in (BROWSER, PAIR_PER_HOUR, SOURCE, ADDRESS) if limit.words in page]
    return sentences[0] if sentences else "wrong" if "do not belong together" in page else page


def guess(limit: throttle.Limit, *whose: str, times: int) -> None:
    """Have so many wrong passwords counted; the page would take its time over each."""
    for _ in range(times):
        throttle._number(limit.key(*whose), limit.period)


def test_a_stranger_elsewhere_locks_nobody_out(alice):
    for _ in range(5):
        assert tries(alice.email, "wrong", CAFE) == "wrong"
    assert tries(alice.email, "wrong", CAFE) == PAIR.words
    assert tries(alice.email, PASSWORD, CAFE) == PAIR.words
    assert tries(alice.email, PASSWORD, HOME) == "in"


def test_the_address_is_the_same_however_it_is_written(alice):
    for written in (alice.email, alice.email.upper(), f" {alice.email}", alice.email.title(), alice.email):
        tries(written, "wrong", CAFE)
    assert tries(alice.email, PASSWORD, CAFE) == PAIR.words


def test_one_ipv6_subscriber_is_one_source(alice):
    for last in range(5):
        tries(alice.email, "wrong", f"2001:db8:1:2::{last}")
    assert tries(alice.email, PASSWORD, "2001:db8:1:2:ffff::1") == PAIR.words
    assert tries(alice.email, PASSWORD, "2001:db8:1:3::1") == "in"


def test_the_pause_ends_and_a_patient_guesser_meets_the_slower_one(alice):
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(3):
            for _ in range(5):
                assert tries(alice.email, "wrong", CAFE) == "wrong"
            assert tries(alice.email, PASSWORD, CAFE) == PAIR.words
            clock.shift(timedelta(seconds=PAIR.period + 1))
        assert tries(alice.email, PASSWORD, CAFE) == PAIR_PER_HOUR.words
        clock.shift(timedelta(seconds=PAIR_PER_HOUR.period))
        assert tries(alice.email, PASSWORD, CAFE) == "in"


def test_a_right_password_takes_back_its_own_attempt_alone(alice):
    for _ in range(4):
        tries(alice.email, "wrong", CAFE)
    for _ in range(3):
        assert tries(alice.email, PASSWORD, CAFE) == "in"  # each time with a browser that nobody knows
    assert tries(alice.email, "wrong", CAFE) == "wrong"
    assert tries(alice.email, PASSWORD, CAFE) == PAIR.words


def test_guessing_from_many_places_is_stopped_and_the_persons_own_browser_gets_in_all_the_same(alice):
    own = Client()
    assert tries(alice.email, PASSWORD, HOME, own) == "in"
    own.post("/account/logout/")
    guess(ADDRESS, alice.email, times=ADDRESS.attempts)
    assert tries(alice.email, "wrong", CAFE) == ADDRESS.words
    assert tries(alice.email, PASSWORD, HOME) == ADDRESS.words  # a browser that nobody knows
    assert tries(alice.email, PASSWORD, HOME, own) == "in"
    own.post("/account/logout/")
    assert tries(alice.email, PASSWORD, CAFE, own) == "in"  # wherever it is carried


def test_who_waits_already_uses_up_nothing_of_the_wider_limits(alice):
    for _ in range(3 * PAIR.attempts):
        tries(alice.email, "wrong", CAFE)
    counted = throttle._number(ADDRESS.key(alice.email), ADDRESS.period) - 1
    assert counted == PAIR.attempts


def test_one_password_tried_on_everybody_is_stopped_at_its_source(alice, bob):
    own = Client()
    assert tries(bob.email, PASSWORD, CAFE, own) == "in"
    own.post("/account/logout/")
    guess(SOURCE, CAFE, times=SOURCE.attempts)
    assert tries(alice.email, PASSWORD, CAFE) == SOURCE.words
    assert tries(alice.email, PASSWORD, HOME) == "in"
    assert tries(bob.email, PASSWORD, CAFE, own) == "in"  # a colleague in the same network, known here


def test_a_known_browser_guesses_no_faster(alice):
    own = Client()
    tries(alice.email, PASSWORD, HOME, own)
    own.post("/account/logout/")
    for number in range(5):
        assert tries(alice.email, "wrong", f"198.51.100.{number}", own) == "wrong"
    assert tries(alice.email, PASSWORD, HOME, own) == BROWSER.words
    assert tries(alice.email, PASSWORD, HOME) == "in"  # others are not held back by it


@pytest.mark.parametrize("forged", ["x", "x:y:z", "", "\u00e9", "a" * 4000])
def test_a_forged_or_borrowed_cookie_makes_no_browser_known(alice, bob, forged):
    strange = Client()
    assert tries(bob.email, PASSWORD, CAFE, strange) == "in"
    strange.post("/account/logout/")
    bobs = strange.cookies[f"known_browser_{bob.pk}"].value
    guess(ADDRESS, alice.email, times=ADDRESS.attempts)
    for value in (forged, bobs, signing.get_cookie_signer(salt="another").sign("x")):
        strange.cookies[f"known_browser_{alice.pk}"] = value
        assert tries(alice.email, PASSWORD, CAFE, strange) == ADDRESS.words


def test_addresses_that_nobody_has_are_slowed_down_alike(db):
    for _ in range(5):
        assert tries("nobody@example.org", "wrong", CAFE) == "wrong"
    assert tries("nobody@example.org", "wrong", CAFE) == PAIR.words
    guess(ADDRESS, "none@example.org", times=ADDRESS.attempts)
    assert tries("none@example.org", "wrong", HOME) == ADDRESS.words


def test_the_cookie_is_for_the_sign_in_page_alone_and_unreadable_for_scripts(alice, settings):
    settings.SESSION_COOKIE_SECURE = True
    answer = Client().post(LOGIN, {"login": alice.email, "password": PASSWORD})
    cookie = answer.cookies[f"known_browser_{alice.pk}"]
    assert (cookie["path"], cookie["httponly"], cookie["secure"], cookie["samesite"]) == (LOGIN, True, True, "Lax")
    assert cookie["max-age"] == throttle.KNOWN_FOR


def test_who_comes_by_an_invitation_is_known_in_that_browser(client, organization, administrator):
    _, token = invite(
        organization, name="Erin", email="erin@example.org", roles=[], by=administrator, now=timezone.now()
    )
    answer = client.post(
        f"/people/invitations/{token}", {"name": "Erin", "password": "battery staple nine", "time_zone": "UTC"}
    )
    assert f"known_browser_{User.objects.get(email='erin@example.org').pk}" in answer.cookies


def test_many_at_once_get_no_more_tries(rf: RequestFactory):
    def ask(_: int) -> bool:
        try:
            throttle.begin(rf.post(LOGIN, REMOTE_ADDR=CAFE), "alice@example.org", None)
        except TooManyAttempts:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(64))) == PAIR.attempts


@pytest.mark.proves("A8")
def test_the_log_says_once_per_pause_that_somebody_was_slowed_down(alice):
    for _ in range(9):
        tries(alice.email, "wrong", CAFE)
    entries = AuditEntry.objects.filter(action="user.sign_in", outcome="refused").order_by("pk")
    assert [entry.detail["reason"] for entry in entries] == ["wrong password"] * 5 + ["too many wrong passwords"]
