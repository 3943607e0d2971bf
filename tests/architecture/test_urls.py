"""Every page wants a signed-in person, but for those named here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver, reverse

#: Routes that anybody may ask for. The frame around a message sends no cookies: its images have signed addresses.
OPEN = {
    "account_login",
    "account_inactive",
    "account_reset_password",
    "account_reset_password_done",
    "account_reset_password_from_key",
    "account_reset_password_from_key_done",
    "organizations:setup",
    "organizations:invitation",
    "organizations:confirm-address",
    "mailstore:inline-image",
    "api:openapi",
    "api:unknown",
}
EXAMPLES = {"int": 1, "str": "x", "slug": "x", "path": "x", "uuid": "00000000-0000-0000-0000-000000000000"}


def routes(
    resolver: URLResolver | None = None, namespace: str = "", above: dict | None = None
) -> Iterator[tuple[str, URLPattern, dict]]:
    """Yield (full name, pattern, converters) of every route; `above` are those of the paths that include it."""
    resolver = resolver or get_resolver()
    for entry in resolver.url_patterns:
        converters = {**(above or {}), **entry.pattern.converters}
        if isinstance(entry, URLResolver):
            inner = f"{namespace}{entry.namespace}:" if entry.namespace else namespace
            yield from routes(entry, inner, converters)
        else:
            yield f"{namespace}{entry.name}", entry, converters


def address(name: str, converters: dict) -> str:
    kinds = {key: type(converter).__name__.removesuffix("Converter").lower() for key, converter in converters.items()}
    return reverse(name, kwargs={key: EXAMPLES["str" if kind == "string" else kind] for key, kind in kinds.items()})


def is_for_programs(name: str) -> bool:
    """Told by status what they lack, not sent to a page; tests/api asks each of them."""
    return name.startswith("api:") and name != "api:docs"


def test_every_route_has_a_name():
    assert not [str(pattern.pattern) for name, pattern, _ in routes() if name.endswith("None")]


def test_every_open_route_exists():
    assert {name for name, _, _ in routes()} >= OPEN


@pytest.mark.proves("A1")
def test_a_stranger_is_sent_to_the_sign_in_page(client, db):
    let_in = []
    for name, _, converters in routes():
        if name in OPEN or is_for_programs(name):
            continue
        url = address(name, converters)
        for method in (client.get, client.post):
            answer = method(url)
            if answer.status_code != 302 or not answer["Location"].startswith(reverse(settings.LOGIN_URL)):
                let_in.append(f"{name} ({url}): {answer.status_code}")
    assert not let_in


@pytest.mark.proves("H4")
def test_the_content_security_policy_has_no_holes(client, db):
    header = client.get(reverse("account_login"))["Content-Security-Policy"]
    policy = {name: sources.split() for name, _, sources in (part.strip().partition(" ") for part in header.split(";"))}
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == ["'none'"]
    sources = {source for each in policy.values() for source in each}
    nonces = {source for source in sources if source.startswith("'nonce-")}
    assert sources - nonces <= {"'none'", "'self'", "data:"}
    assert [name for name in policy if "data:" in policy[name]] == ["img-src"]
    assert {"report-uri", "report-to"}.isdisjoint(policy)


def test_the_nonce_is_new_for_every_page(client, db):
    first, second = (client.get(reverse("account_login"))["Content-Security-Policy"] for _ in range(2))
    assert "nonce-" not in first or first != second
