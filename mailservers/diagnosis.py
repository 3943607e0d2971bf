"""From a failure to what a person can do about it, by the rules in the database (spec D2).

Rules are tried by rank; within a rank the one with more conditions wins. The first that holds speaks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from django.utils import timezone
from django.utils.formats import date_format

from mailservers import patterns
from mailservers.failures import kinds_of
from mailservers.fixes import STARTTLS_PORT, TLS_PORT, fixes_for, neighbours
from mailservers.models import DiagnosisRule
from organizations.models import Organization
from protocols.diagnosis import Cause, Diagnosis, Retry, Who
from protocols.endpoint import Endpoint, Protocol, Security
from protocols.errors import CertificateRefused, Deferred, DestinationRefused, MailError
from providers.lookup import provider_at
from providers.models import Provider

DEFERRED: Final = "deferred"  # the kind of a 4yz

_PLACE = re.compile(r"\{([a-z_]+)\}")


def diagnose(
    error: MailError,
    *,
    protocol: Protocol,
    endpoint: Endpoint,
    provider_key: str = "",
    organization: Organization | None = None,
) -> Diagnosis:
    """Say what `error` means at this server and who can do what about it. Always has an answer.

    provider_key: of the catalog; empty: found by the host, where the catalog knows it.
    organization: whose own rules count too.
    """
    provider = _provider(endpoint, provider_key, organization)
    key = provider.key if provider else provider_key
    rules = sorted(DiagnosisRule.objects.for_organization(organization), key=_order)
    return choose(rules, error, protocol=protocol, endpoint=endpoint, provider_key=key, provider=provider)


def choose(
    rules: Iterable[DiagnosisRule],
    error: MailError,
    *,
    protocol: Protocol,
    endpoint: Endpoint,
    provider_key: str = "",
    provider: Provider | None = None,
) -> Diagnosis:
    """Let the first rule that holds speak; pure. `rules` come in the order of `diagnose`."""
    words = _words(error, protocol, endpoint, provider)
    for rule in rules:
        found = _holds(rule, error, protocol, endpoint, provider_key)
        if found is not None:
            named = {name: text for name, text in found.items() if text}
            spoken = _spoken(rule, {**words, **named}, fixes_for(error, protocol=protocol, endpoint=endpoint))
            return replace(spoken, retry=_retry(rule, error))
    return _without_rules(error, words, fixes_for(error, protocol=protocol, endpoint=endpoint))


def _retry(rule: DiagnosisRule, error: MailError) -> Retry:
    """What the rule says; but words alone never make a 4yz final (RFC 5321, 4.2.1): only a rule that names the kind."""
    retry = Retry(rule.retry)
    if retry is Retry.STOP and isinstance(error, Deferred) and rule.kind != DEFERRED:
        return Retry.BACK_OFF
    return retry


def _order(rule: DiagnosisRule) -> tuple[int, int, int]:
    conditions = (rule.organization_id, rule.providers, rule.ports, rule.security, rule.pattern, rule.step)
    special = sum(map(bool, conditions)) + len(rule.kind.split("_")) * bool(rule.kind) + bool(rule.protocol)
    return rule.rank, -special, rule.pk or 0


def _holds(
    rule: DiagnosisRule, error: MailError, protocol: Protocol, endpoint: Endpoint, provider_key: str
) -> Mapping[str, str | None] | None:
    """The named parts of the pattern when every condition of the rule holds, else None."""
    if rule.protocol and rule.protocol != protocol:
        return None
    if rule.providers and provider_key not in rule.providers:
        return None
    if rule.step and rule.step != error.step:
        return None
    if rule.kind and rule.kind not in kinds_of(error):
        return None
    if (rule.ports and endpoint.port not in rule.ports) or (rule.security and rule.security != endpoint.security):
        return None
    if not rule.pattern:
        return {}
    found = patterns.search(rule.pattern, _reply(error))
    return found.groupdict() if found else None


def _reply(error: MailError) -> str:
    """What patterns look at: the server's words on one line, an SMTP code in front."""
    reply = " ".join(error.reply.split()) or str(error)
    return f"{error.code} {reply}" if error.code and not reply.startswith(str(error.code)) else reply


def _provider(endpoint: Endpoint, key: str, organization: Organization | None) -> Provider | None:
    if not key:
        return provider_at(endpoint.host, organization)
    own = Provider.objects.filter(organization=organization, key=key) if organization else Provider.objects.none()
    return own.first() or Provider.objects.filter(organization=None, key=key).first()


def _words(error: MailError, protocol: Protocol, endpoint: Endpoint, provider: Provider | None) -> dict[str, str]:
    """What the sentences of a rule may name in braces."""
    ways = [f"{port} with {_NAMES[security]}" for port, security in neighbours(protocol, endpoint)]
    return {
        "host": endpoint.host,
        "port": str(endpoint.port),
        "protocol": protocol.upper(),
        "security": _NAMES[endpoint.security],
        "timeout": f"{endpoint.timeout:g}",
        "provider": provider.name if provider else endpoint.host,
        "instructions": provider.instructions_url if provider else "",
        "message": str(error),
        "neighbours": f"Try port {' or '.join(ways)}.",
        "tls_port": str(TLS_PORT[protocol]),
        "starttls_port": str(STARTTLS_PORT[protocol]),
        **_certificate_words(error),
    }


def _certificate_words(error: MailError) -> dict[str, str]:
    if not isinstance(error, CertificateRefused):
        return {}
    names = ", ".join(error.names[:3])
    expires = error.expires_at
    return {
        "named": f"It names {names}{' and others' if len(error.names) > 3 else ''}." if names else "It names others.",
        "expired": f"It was valid until {date_format(timezone.localtime(expires), 'j F Y')}."
        if expires
        else "The certificate was not renewed in time.",
        "fingerprint": error.fingerprint,
    }


_NAMES = {Security.TLS: "TLS", Security.STARTTLS: "STARTTLS", Security.NONE: "no protection"}


def _filled(text: str, words: Mapping[str, str]) -> str:
    """Put the words into the braces. Not str.format: rules are data, and must not reach into objects."""
    return _PLACE.sub(lambda place: words.get(place[1], ""), text).strip()


def _spoken(rule: DiagnosisRule, words: Mapping[str, str], fixes: dict[str, str]) -> Diagnosis:
    causes = tuple(
        Cause(
            cause=_filled(cause["cause"], words),
            cure=_filled(cause["cure"], words),
            who=Who(cause["who"]),
            field=cause.get("field", ""),
            link=_safe_link(_filled(cause.get("link", ""), words)),
        )
        for cause in rule.causes
    )
    return Diagnosis(rule.code, _filled(rule.title, words), causes, Retry(rule.retry), fixes)


def _safe_link(url: str) -> str:
    return url if url.startswith("https://") else ""


def _without_rules(error: MailError, words: Mapping[str, str], fixes: dict[str, str]) -> Diagnosis:
    """Where the rules were never loaded: the error's own sentence."""
    if isinstance(error, DestinationRefused):
        return Diagnosis("destination-refused", str(error), (), Retry.STOP)
    cause = Cause(str(error), "Check again in some minutes. If it stays, ask whoever runs the server.", Who.PROVIDER)
    return Diagnosis("unknown-failure", f"The connection to {words['host']} failed.", (cause,), Retry.STOP, fixes)
