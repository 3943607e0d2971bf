"""Behind a proxy each person has an address of one's own, which nobody can make up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import reverse

from organizations import proxies
from organizations.middleware import ClientAddressMiddleware
from tests.conftest import PASSWORD


@pytest.fixture(autouse=True)
def _fresh_limits() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.mark.parametrize(
    ("proxies", "told", "address"),
    [
        (0, "192.0.2.7", "10.0.0.1"),
        (1, "192.0.2.7", "192.0.2.7"),
        (1, "198.51.100.9, 192.0.2.7", "192.0.2.7"),
        (2, "198.51.100.9,192.0.2.7, 10.0.0.2", "192.0.2.7"),
        (2, "192.0.2.7", "10.0.0.1"),
        (1, "2001:db8::7", "2001:db8::7"),
        (1, "", "10.0.0.1"),
        (1, "nonsense", "10.0.0.1"),
        (1, "192.0.2.7:4711", "10.0.0.1"),
        (1, "fe80::1%eth0", "10.0.0.1"),
    ],
)
def test_only_what_our_proxies_appended_is_believed(settings, proxies, told, address):
    settings.PROXIES = proxies
    request = HttpRequest()
    request.META |= {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": told}
    ClientAddressMiddleware(lambda request: HttpResponse())(request)
    assert request.META["REMOTE_ADDR"] == address


@pytest.mark.parametrize(
    ("proxies", "sender", "headers", "words"),
    [
        (0, "10.0.0.1", {"X-Forwarded-For": "192.0.2.7"}, "not declared"),
        (0, "127.0.0.1", {"Forwarded": "for=192.0.2.7"}, "not declared"),
        (0, "10.0.0.1", {}, ""),
        (0, "8.8.8.8", {"X-Forwarded-For": "192.0.2.7"}, ""),  # anybody can send it
        (1, "10.0.0.1", {"X-Forwarded-For": "192.0.2.7"}, ""),
        (1, "10.0.0.1", {"X-Forwarded-For": "198.51.100.9, 192.0.2.7"}, ""),
        (1, "10.0.0.1", {}, "fewer addresses"),
        (2, "fd00::1", {"X-Forwarded-For": "192.0.2.7"}, "fewer addresses"),
        (1, "", {}, ""),
    ],
)
def test_proxies_that_are_declared_wrongly_are_logged_once_and_shown_to_administrators(
    settings, client_of, administrator, caplog, monkeypatch, proxies, sender, headers, words
):
    monkeypatch.setattr("organizations.proxies._noted", {})
    settings.PROXIES = proxies
    for _ in range(3):
        Client(REMOTE_ADDR=sender).get(reverse("account_login"), headers=headers)
    lines = [record.message for record in caplog.records if record.name == "organizations.proxies"]
    assert [words in line for line in lines] == ([True] if words else [])
    client = client_of(administrator)
    for page in ("organizations:people", "organizations:audit-log"):
        shown = client.get(reverse(page), headers={"X-Forwarded-For": "192.0.2.7, 192.0.2.8"}, REMOTE_ADDR="8.8.8.8")
        assert ("People cannot be told apart" in shown.content.decode()) == bool(words)


def test_a_cache_that_is_down_breaks_no_page(settings, client, caplog, monkeypatch):
    def down(*args: object) -> None:
        raise ConnectionError("the cache is down")

    monkeypatch.setattr("organizations.proxies._noted", {})
    monkeypatch.setattr("organizations.proxies.cache.set", down)
    monkeypatch.setattr("organizations.proxies.cache.get", down)
    proxies.note(proxies.UNDECLARED)
    assert proxies.noted() == ""


@pytest.mark.proves("A2")
def test_a_strangers_wrong_passwords_slow_down_nobody_else_behind_the_proxy(settings, alice):
    settings.PROXIES = 1
    for number in range(40):
        form = {"login": f"nobody{number}@example.org", "password": "wrong"}
        Client().post(reverse("account_login"), form, headers={"x-forwarded-for": f"10.9.8.{number}, 192.0.2.7"})
    form = {"login": alice.email, "password": PASSWORD}
    assert Client().post(reverse("account_login"), form, headers={"x-forwarded-for": "192.0.2.8"}).status_code == 302
    held_back = Client().post(reverse("account_login"), form, headers={"x-forwarded-for": "10.1.1.1, 192.0.2.7"})
    assert held_back.status_code != 302
