"""Wrong passwords are slowed down, and no stranger keeps the right person out (spec A2, threat T23).

A lock on the address alone would be a weapon: five wrong passwords from anywhere, and its owner waits. So attempts are
counted by who makes them, as OWASP advises (Blocking Brute Force Attacks; device cookies):

- A browser that the person signed in with before has a signed cookie, and is counted by itself alone. Nothing that
  others do holds it back.
- Any other browser is counted per address and source, per source, and per address over all sources. The last cap is
  wide and slow: it stops guessing from many places, and then says which two ways stay open.

Addresses that nobody has are counted alike, so that waiting tells nothing about who has an account.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

from organizations.models import User

KNOWN_FOR: Final = 365 * 24 * 60 * 60  # seconds that a browser is remembered after a sign-in
_SALT: Final = "organizations.throttle.known-browser"
_MINUTES: Final = "The password was wrong too often. Wait five minutes, then try again."


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `attempts` wrong passwords within `period` seconds from the first one; `words` say what to do then."""

    name: str
    attempts: int
    period: int
    words: str

    def key(self, *whose: str) -> str:
        return f"sign-in:{self.name}:{hashlib.sha256(chr(0).join(whose).encode()).hexdigest()}"


BROWSER: Final = Limit("browser", 5, 300, _MINUTES)
PAIR: Final = Limit("pair", 5, 300, _MINUTES)
PAIR_PER_HOUR: Final = Limit(
    "pair-per-hour",
    15,
    3600,
    "The password was wrong too often. Wait an hour, or choose a new one by “Forgot your password?”.",
)
SOURCE: Final = Limit(
    "source", 30, 300, "Too many wrong passwords came from your network. Wait five minutes, then try again."
)
ADDRESS: Final = Limit(
    "address",
    100,
    3600,
    "Too many wrong passwords were typed for this address, from many places. Sign in with a browser that you have used "
    "here before, or choose a new password by “Forgot your password?”.",
)


class TooManyAttempts(Exception):
    """This attempt may not even be checked. limit: which one is reached; its words are for the person."""

    def __init__(self, limit: Limit) -> None:
        super().__init__(limit.words)
        self.limit = limit


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, counted as wrong until it is forgiven: many at once get no more tries than one by one."""

    keys: tuple[str, ...]

    def forgive(self) -> None:
        """The password was right. Only this attempt is taken back: own sign-ins must not wipe what a guesser did."""
        for key in self.keys:
            try:
                cache.decr(key)
            except ValueError:  # its period ended meanwhile
                continue


def begin(request: HttpRequest, address: str, user: User | None) -> Attempt:
    """Count an attempt to sign in at `address`, which is that of `user` if anybody's. Raises TooManyAttempts."""
    taken = []
    for limit, whose in _counted_by(request, address.strip().casefold(), user):
        key = limit.key(*whose)
        if _number(key, limit.period) > limit.attempts:
            raise TooManyAttempts(limit)  # before the wider ones are counted: who waits already uses none of them up
        taken.append(key)
    return Attempt(tuple(taken))


def remember(request: HttpRequest, response: HttpResponseBase, user: User) -> None:
    """Let the browser that `user` has just signed in with be known next time, also when others are held back."""
    response.set_signed_cookie(
        _cookie(user),
        _known_browser(request, user) or secrets.token_urlsafe(16),
        salt=_SALT,
        max_age=KNOWN_FOR,
        path=reverse(settings.LOGIN_URL),
        secure=bool(settings.SESSION_COOKIE_SECURE),
        httponly=True,
        samesite="Lax",
    )


def _counted_by(request: HttpRequest, address: str, user: User | None) -> list[tuple[Limit, tuple[str, ...]]]:
    """The limits that hold for the attempt, narrow ones first, and what each counts by."""
    if user is not None and (browser := _known_browser(request, user)):
        return [(BROWSER, (str(user.pk), browser))]
    source = _source(request)
    return [
        (PAIR, (address, source)),
        (PAIR_PER_HOUR, (address, source)),
        (SOURCE, (source,)),
        (ADDRESS, (address,)),
    ]


def _cookie(user: User) -> str:
    """One per person: several may use the browser."""
    return f"known_browser_{user.pk}"


def _known_browser(request: HttpRequest, user: User) -> str:
    """What the browser was given when `user` signed in with it; "" for any other."""
    return str(request.get_signed_cookie(_cookie(user), default="", salt=_SALT, max_age=KNOWN_FOR))


def _source(request: HttpRequest) -> str:
    """Where it comes from. IPv6 by its first 64 bits, of which one subscriber has all (RFC 6177)."""
    text = str(request.META.get("REMOTE_ADDR", ""))
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return text
    return str(found) if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))


def _number(key: str, period: int) -> int:
    """How many within the period, this one included."""
    cache.add(key, 0, period)
    try:
        return int(cache.incr(key))
    except ValueError:  # it ended in between
        return 1
