"""Certificates for TLS tests: good ones, and each kind of bad one. Made on the fly; nothing is stored."""

from __future__ import annotations

import ssl
import subprocess
import tempfile
import warnings
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from protocols.tls import TlsTrust

NAME = "mail.sandbox.test"


@lru_cache(maxsize=1)
def authority() -> trustme.CA:
    return trustme.CA()


def trust() -> TlsTrust:
    """Trust in `authority()` beside the system's."""
    return TlsTrust(extra_ca=authority().cert_pem.bytes().decode())


@lru_cache(maxsize=16)
def good(*names: str) -> ssl.SSLContext:
    """A server's side with a certificate from `authority()` for `names` (NAME when none are given)."""
    return _server_side(authority().issue_cert(*(names or (NAME, "127.0.0.1"))))


def expired() -> ssl.SSLContext:
    return _server_side(authority().issue_cert(NAME, not_before=_in_days(-30), not_after=_in_days(-2)))


def not_yet_valid() -> ssl.SSLContext:
    return _server_side(authority().issue_cert(NAME, not_before=_in_days(2), not_after=_in_days(30)))


def from_a_stranger() -> ssl.SSLContext:
    return _server_side(trustme.CA().issue_cert(NAME))


def with_the_chain_of_a_stranger() -> ssl.SSLContext:
    """The unknown root is sent along: "self-signed certificate in certificate chain"."""
    stranger = trustme.CA()
    leaf = stranger.issue_cert(NAME)
    context = _empty()
    with leaf.private_key_and_cert_chain_pem.tempfile() as path:
        with open(path, "ab") as file:
            file.write(stranger.cert_pem.bytes())
        context.load_cert_chain(path)
    return context


def self_signed() -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_in_days(-1))
        .not_valid_after(_in_days(9))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = _empty()
    with trustme.Blob(encoded + certificate.public_bytes(serialization.Encoding.PEM)).tempfile() as path:
        context.load_cert_chain(path)
    return context


def signed_with_sha1() -> ssl.SSLContext:
    """A certificate of the trusted authority with a signature too weak to prove anything."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "ca.pem").write_bytes(authority().cert_pem.bytes())
        (home / "ca.key").write_bytes(authority().private_key_pem.bytes())
        (home / "names").write_text(f"subjectAltName=DNS:{NAME}\n")
        for arguments in (
            f"req -new -newkey rsa:2048 -nodes -keyout leaf.key -out leaf.csr -subj /CN={NAME}",
            "x509 -req -sha1 -days 9 -in leaf.csr -CA ca.pem -CAkey ca.key -set_serial 7 -extfile names -out leaf.pem",
        ):
            subprocess.run(["openssl", *arguments.split()], cwd=home, check=True, capture_output=True)
        context = _empty()
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.load_cert_chain(home / "leaf.pem", home / "leaf.key")
        return context


def only_tls_1_1() -> ssl.SSLContext:
    context = _server_side(authority().issue_cert(NAME))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # yes, old: that is the test
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def right_only_with_sni() -> ssl.SSLContext:
    """Shows a stranger's certificate unless the client names the host (RFC 6066, 3)."""
    context, right = _server_side(trustme.CA().issue_cert("invalid2.invalid")), good(NAME)

    def choose(sock: ssl.SSLSocket | ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name == NAME:
            sock.context = right

    context.sni_callback = choose
    return context


def _empty() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def _server_side(leaf: trustme.LeafCert) -> ssl.SSLContext:
    context = _empty()
    leaf.configure_cert(context)
    return context


def _in_days(days: int) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)
