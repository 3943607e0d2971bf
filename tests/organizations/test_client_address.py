"""Behind a proxy each person has an address of one's own, which nobody can make up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import reverse

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
