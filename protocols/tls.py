"""TLS on top of a dialed socket: always verified, never older than 1.2, one context per trust (spec J3, threat T6)."""

from __future__ import annotations

import hashlib
import hmac
import socket
import ssl
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from protocols.endpoint import Endpoint
from protocols.errors import CertificateProblem, CertificateRefused, Unreachable
from protocols.network import dns_name
from protocols.stepping import watched
from protocols.steps import Observer, StepName, ignore

HANDSHAKE_TIMEOUT = 10.0  # seconds

_PROBLEMS = {  # X509_V_ERR_* of OpenSSL
    9: CertificateProblem.NOT_YET_VALID,
    10: CertificateProblem.EXPIRED,
    18: CertificateProblem.SELF_SIGNED,
    19: CertificateProblem.UNKNOWN_ISSUER,
    20: CertificateProblem.UNKNOWN_ISSUER,
    21: CertificateProblem.UNKNOWN_ISSUER,
    62: CertificateProblem.WRONG_NAME,
    64: CertificateProblem.WRONG_NAME,
}
_SENTENCES = {
    CertificateProblem.NOT_YET_VALID: "The certificate of {host} is not valid yet; check the clocks.",
    CertificateProblem.EXPIRED: "The certificate of {host} has expired.",
    CertificateProblem.SELF_SIGNED: "The certificate of {host} is signed by itself, so it proves nothing.",
    CertificateProblem.UNKNOWN_ISSUER: "The certificate of {host} comes from an issuer that is not trusted here.",
    CertificateProblem.WRONG_NAME: "The certificate belongs to another name than {host}.",
    CertificateProblem.WRONG_FINGERPRINT: "{host} showed another certificate than the one that is trusted for it.",
    CertificateProblem.OTHER: "The certificate of {host} was not accepted.",
}


@dataclass(frozen=True, slots=True)
class TlsTrust:
    """Whose certificates count.

    extra_ca:    PEM text of further issuers, for a company's own authority; the system's stay trusted.
    fingerprint: SHA-256 in hexadecimal of the one certificate accepted for this server, whatever its name, dates and
                 issuer: an administrator pinned it. Empty: the usual rules.
    """

    extra_ca: str = ""
    fingerprint: str = ""

    @classmethod
    def with_ca_file(cls, path: Path) -> TlsTrust:
        return cls(extra_ca=path.read_text("ascii"))


SYSTEM_TRUST = TlsTrust()


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What a certificate says about itself; nothing of it is proven unless a handshake verified it."""

    names: tuple[str, ...]
    issuer: str
    expires_at: datetime | None
    fingerprint: str


@lru_cache(maxsize=32)
def _context(extra_ca: str) -> ssl.SSLContext:
    """Building a context takes about 20 ms, ten times a handshake: one per set of issuers and process."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if extra_ca:
        context.load_verify_locations(cadata=extra_ca)
    return context


@lru_cache(maxsize=1)
def _unverified_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def wrap(
    sock: socket.socket,
    endpoint: Endpoint,
    *,
    trust: TlsTrust = SYSTEM_TRUST,
    observe: Observer = ignore,
    step: StepName = StepName.TLS,
) -> ssl.SSLSocket:
    """Shake hands on `sock`, prove the name of `endpoint`, and return the protected socket.

    Closes `sock` and raises CertificateRefused (with OpenSSL's words, the problem, and what could be read of the
    certificate), or Unreachable when there is no TLS to be had. Nothing of ours has been sent then.
    """
    with watched(step, observe) as watch:
        protected = _handshake(sock, endpoint, trust)
        certificate = describe(protected.getpeercert(binary_form=True) or b"")
        watch.detail = summary(protected.version(), certificate)
    return protected


def describe(der: bytes) -> PeerCertificate:
    """Read a certificate; a field that cannot be read stays empty."""
    fingerprint = hashlib.sha256(der).hexdigest()
    try:
        certificate = x509.load_der_x509_certificate(der)
        issuer = certificate.issuer.rfc4514_string()
        for oid in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
            if named := certificate.issuer.get_attributes_for_oid(oid):
                issuer = str(named[0].value)
                break
        return PeerCertificate(_names(certificate), issuer, certificate.not_valid_after_utc, fingerprint)
    except ValueError:
        return PeerCertificate((), "", None, fingerprint)


def summary(version: str | None, certificate: PeerCertificate) -> str:
    """Say in one line what a person wants to know of the protection."""
    facts = [(version or "TLS").replace("TLSv", "TLS ")]
    if certificate.issuer:
        facts.append(f"certificate from {certificate.issuer}")
    if certificate.expires_at is not None:
        facts.append(f"expires {certificate.expires_at:%Y-%m-%d}")
    return ", ".join(facts)


def peek(sock: socket.socket, endpoint: Endpoint) -> PeerCertificate | None:
    """Read the certificate on a *fresh* connection without believing it, say nothing else, and close.

    For explaining a refusal only: which names it has, whether to offer pinning it. None when even that fails.
    """
    try:
        sock.settimeout(HANDSHAKE_TIMEOUT)
        with _unverified_context().wrap_socket(sock, server_hostname=_server_name(endpoint)) as protected:
            return describe(protected.getpeercert(binary_form=True) or b"")
    except (OSError, ValueError):
        sock.close()
        return None


def _server_name(endpoint: Endpoint) -> str:
    name = dns_name(endpoint.host)
    return name[1:-1] if name.startswith("[") else name


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return tuple(str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME))
    addresses = map(str, alternatives.get_values_for_type(x509.IPAddress))
    return (*alternatives.get_values_for_type(x509.DNSName), *addresses)


def _handshake(sock: socket.socket, endpoint: Endpoint, trust: TlsTrust) -> ssl.SSLSocket:
    context = _unverified_context() if trust.fingerprint else _context(trust.extra_ca)
    sock.settimeout(HANDSHAKE_TIMEOUT)
    try:
        protected = context.wrap_socket(sock, server_hostname=_server_name(endpoint))
    except ssl.SSLCertVerificationError as exc:
        sock.close()
        problem = _PROBLEMS.get(exc.verify_code, CertificateProblem.OTHER)
        sentence = _SENTENCES[problem].format(host=endpoint.host)
        raise CertificateRefused(sentence, reply=_openssl_words(exc), problem=problem) from exc
    except TimeoutError as exc:
        sock.close()
        raise Unreachable(f"{endpoint} did not finish the TLS handshake in time.", reply="timed out") from exc
    except ssl.SSLError as exc:
        sock.close()
        raise Unreachable(f"No TLS with {endpoint}: it speaks something else here.", reply=_openssl_words(exc)) from exc
    except OSError as exc:
        sock.close()
        reply = exc.strerror or str(exc)
        raise Unreachable(f"{endpoint} broke off the TLS handshake.", reply=reply) from exc
    if trust.fingerprint:
        _prove_fingerprint(protected, endpoint, trust.fingerprint)
    protected.settimeout(endpoint.timeout)
    return protected


def _prove_fingerprint(protected: ssl.SSLSocket, endpoint: Endpoint, expected: str) -> None:
    shown = describe(protected.getpeercert(binary_form=True) or b"")
    if hmac.compare_digest(shown.fingerprint, expected.replace(":", "").lower()):
        return
    protected.close()
    problem = CertificateProblem.WRONG_FINGERPRINT
    raise CertificateRefused(
        _SENTENCES[problem].format(host=endpoint.host),
        reply=f"SHA-256 fingerprint {shown.fingerprint}",
        problem=problem,
        names=shown.names,
        fingerprint=shown.fingerprint,
        expires_at=shown.expires_at,
    )


def _openssl_words(exc: ssl.SSLError) -> str:
    """OpenSSL's text without the source position that Python appends."""
    return str(exc.args[-1] if exc.args else exc).rsplit(" (_ssl.c", 1)[0]
