"""An entry of the catalog in words, and what an own one says differently from the built-in one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from providers.models import LoginRule, Provider, SecurityChoice

_LIMITS = {
    "connections": "Connections at the same time",
    "messages_per_connection": "Messages per connection",
    "per_minute": "Messages per minute",
    "per_day": "Messages per day",
    "message_size": "Largest message",
}
MEGABYTE = 1024 * 1024  # octets


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the card.

    built_in: what the built-in entry says, where an own one says something else; else None.
    """

    group: str
    label: str
    value: str
    is_link: bool = False
    built_in: str | None = None

    @property
    def differs(self) -> bool:
        return self.built_in is not None


@dataclass(frozen=True, slots=True)
class FactGroup:
    label: str
    facts: list[Fact]


def facts_of(provider: Provider, built_in: Provider | None = None) -> list[FactGroup]:
    """Every field of the entry (spec C1), by subject; compared with `built_in` where given."""
    theirs = {(fact.group, fact.label): fact.value for fact in _facts(built_in)} if built_in else {}
    facts = [_compared(fact, theirs.get((fact.group, fact.label), fact.value)) for fact in _facts(provider)]
    return [FactGroup(label, list(group)) for label, group in groupby(facts, key=lambda fact: fact.group)]


def _compared(fact: Fact, built_in: str) -> Fact:
    if built_in == fact.value:
        return fact
    return Fact(fact.group, fact.label, fact.value, is_link=fact.is_link, built_in=built_in)


def _facts(provider: Provider) -> list[Fact]:
    receiving, sending, sign_in, limits = "Receiving mail", "Sending mail", "Signing in", "Limits and habits"
    return [
        Fact("The provider", "Name", provider.name),
        Fact("The provider", "Kind", provider.get_kind_display()),
        Fact(
            "The provider", "Place in lists", "Often used, comes first" if provider.often_used else "Among all others"
        ),
        *_server(
            receiving, "IMAP", provider.imap_host, provider.imap_port, provider.imap_security, provider.imap_login
        ),
        *_server(sending, "SMTP", provider.smtp_host, provider.smtp_port, provider.smtp_security, provider.smtp_login),
        *([Fact(sending, "Response timeout", f"{provider.smtp_timeout} seconds")] if provider.smtp_host else []),
        Fact(sign_in, "Authentication", provider.get_authentication_display()),
        Fact(sign_in, "Status", provider.get_status_display()),
        Fact(sign_in, "Hint before the password", provider.hint),
        Fact(sign_in, "Instructions", provider.instructions_url, is_link=True),
        *(Fact(limits, label, _limit(provider, name)) for name, label in _LIMITS.items()),
        Fact(
            limits, "Sent copy", "The provider files it itself" if provider.files_sent_mail else "Filed by this program"
        ),
    ]


def _server(group: str, protocol: str, host: str, port: int, security: str, login: str) -> list[Fact]:
    if not host:
        return [Fact(group, f"{protocol} server", "Off")]
    protection = "not encrypted" if security == SecurityChoice.NONE else SecurityChoice(security).label
    return [
        Fact(group, f"{protocol} server", f"{host}, port {port}, {protection}"),
        Fact(group, f"{protocol} user name", LoginRule(login).label),
    ]


def _limit(provider: Provider, name: str) -> str:
    value = provider.limits.get(name)
    if not value:
        return "Not known"
    return f"{value / MEGABYTE:,.0f} MB" if name == "message_size" else f"{value:,}"
