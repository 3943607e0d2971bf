"""The guarded dialer as this installation is configured: one policy for every outgoing connection (spec J2)."""

from __future__ import annotations

from functools import cache
from ipaddress import ip_network
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from protocols.network import MAIL_PORTS, Dialer, DialPolicy
from protocols.tls import TlsTrust

LOOPBACK = "127.0.0.1"
SANDBOX_IMAP_HOST = "imap.sandbox.test"
SANDBOX_SMTP_HOST = "smtp.sandbox.test"


@cache
def dialer() -> Dialer:
    """The dialer of this process. Raises ImproperlyConfigured when EMAILSETTINGS_DIAL_NETWORKS holds no network."""
    try:
        networks = tuple(ip_network(text, strict=False) for text in settings.DIAL_NETWORKS)
    except ValueError as exc:
        raise ImproperlyConfigured(f"EMAILSETTINGS_DIAL_NETWORKS: {exc}. Write networks as 10.20.0.0/16.") from exc
    sandbox_ports = [port for port in (settings.SANDBOX_IMAP_PORT, settings.SANDBOX_SMTP_PORT) if port]
    return Dialer(
        DialPolicy(
            ports=MAIL_PORTS | frozenset(settings.DIAL_PORTS),
            networks=networks,
            endpoints=frozenset((LOOPBACK, port) for port in sandbox_ports),
            names={SANDBOX_IMAP_HOST: LOOPBACK, SANDBOX_SMTP_HOST: LOOPBACK} if sandbox_ports else {},
        )
    )


@cache
def trust() -> TlsTrust:
    """The certificate authorities we believe: the system's, and the administrator's own file."""
    return TlsTrust.with_ca_file(Path(settings.EXTRA_CA_FILE)) if settings.EXTRA_CA_FILE else TlsTrust()
