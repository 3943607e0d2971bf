"""Cures that one click can bring about, as values for the fields of the form that was checked (spec D3)."""

from __future__ import annotations

from protocols.endpoint import Endpoint, Protocol, Security
from protocols.errors import CertificateProblem, CertificateRefused, MailError, SecurityRefused, Unreachable
from protocols.steps import StepName

TLS_PORT = {Protocol.IMAP: 993, Protocol.SMTP: 465}
STARTTLS_PORT = {Protocol.IMAP: 143, Protocol.SMTP: 587}
_SECURITY_OF_PORT = {
    993: Security.TLS,
    465: Security.TLS,
    143: Security.STARTTLS,
    587: Security.STARTTLS,
    2525: Security.STARTTLS,
}  # 25 is left out: some relays protect it, some do not


def usual_security(port: int) -> Security | None:
    """What a port stands for by convention (RFC 8314); None where there is none."""
    return _SECURITY_OF_PORT.get(port)


def neighbours(protocol: Protocol, endpoint: Endpoint) -> list[tuple[int, Security]]:
    """The other usual ways into a server of this protocol, best first; never one without protection."""
    ways = [(TLS_PORT[protocol], Security.TLS), (STARTTLS_PORT[protocol], Security.STARTTLS)]
    return [way for way in ways if way != (endpoint.port, endpoint.security)]


def fixes_for(error: MailError, *, protocol: Protocol, endpoint: Endpoint) -> dict[str, str]:
    """The form values that most likely cure the failure; empty where nobody can know. Never less protection."""
    if isinstance(error, CertificateRefused):
        return _name_in_certificate(error, endpoint)
    usual = usual_security(endpoint.port)
    early = error.step in (StepName.TLS, StepName.GREETING, StepName.STARTTLS)
    if early and isinstance(error, Unreachable | SecurityRefused) and usual not in (None, endpoint.security):
        return {"security": str(usual)}
    if error.step is StepName.STARTTLS and isinstance(error, SecurityRefused):
        return way(TLS_PORT[protocol], Security.TLS)
    if error.step is StepName.TLS and _speaks_plainly(error):
        return {"security": Security.STARTTLS.value}
    if _wants_protection(error) and endpoint.security is Security.NONE:
        if usual is Security.STARTTLS:
            return {"security": Security.STARTTLS.value}
        return way(TLS_PORT[protocol], Security.TLS)
    return {}


def label_of(fixes: dict[str, str]) -> str:
    """The words on the button: "Use TLS on port 465", "Use mail.example.net"."""
    security = {"tls": "TLS", "starttls": "STARTTLS", "none": "no protection"}.get(fixes.get("security", ""), "")
    parts = [part for part in (fixes.get("host", ""), security, fixes.get("username", "")) if part]
    port = f"port {fixes['port']}" if "port" in fixes else ""
    if port:
        parts = [f"{' and '.join(parts)} on {port}"] if parts else [port]
    return "Use " + " and ".join(parts) if parts else ""


def way(port: int, security: Security) -> dict[str, str]:
    """Another port with its security, as form values."""
    return {"security": security.value, "port": str(port)}


def _name_in_certificate(error: CertificateRefused, endpoint: Endpoint) -> dict[str, str]:
    """A name the certificate does prove. A wildcard stands for many: the nearest guess is its own first label."""
    if error.problem is not CertificateProblem.WRONG_NAME:
        return {}
    names = [name.lower() for name in error.names if _is_host(name.lower())]
    typed = endpoint.host.lower().split(".")
    names.sort(key=lambda name: (name.split(".")[-2:] != typed[-2:], name.split(".")[0] != typed[0], len(name)))
    for name in names:
        if name.startswith("*."):
            name = f"{typed[0]}.{name[2:]}"
        if name != endpoint.host.lower():
            return {"host": name}
    return {}


def _is_host(name: str) -> bool:
    labels = name.removeprefix("*.").split(".")
    return len(labels) > 1 and all(label and label.replace("-", "").isalnum() and label.isascii() for label in labels)


def _speaks_plainly(error: MailError) -> bool:
    words = error.reply.lower().replace("_", " ")
    return any(text in words for text in ("wrong version number", "record layer failure", "unknown protocol"))


def _wants_protection(error: MailError) -> bool:
    words = error.reply.lower()
    return isinstance(error, SecurityRefused) or any(
        text in words for text in ("starttls", "privacyrequired", "logindisabled", "auth methods offered: none")
    )
