"""A real Postfix on loopback for submission (RFC 6409), which asks Dovecot for passwords and delivers to it by LMTP.

So a message that goes out here is read again over IMAP. Some recipients are refused, see `RECIPIENTS`. It needs root,
as its master process does; without root its tests are skipped.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from protocols.endpoint import Endpoint, Security
from protocols.network import Dialer, DialPolicy
from protocols.tls import TlsTrust
from tests.servers.dovecot import HOST, LMTP, Dovecot
from tests.servers.processes import (
    accepts,
    find_program,
    free_port,
    private_folder,
    start,
    stop,
    unavailable,
    wait_until,
)

SIZE_LIMIT = 10 * 1024 * 1024  # octets

#: What RCPT answers, by the beginning of the address; anybody else has a mailbox.
RECIPIENTS = """\
/^unknown/  550 5.1.1 User unknown in virtual mailbox table
/^full/     552 5.2.2 Mailbox full
/^later/    450 4.2.1 Mailbox temporarily disabled
"""

MAIN = """\
compatibility_level = 3.6
queue_directory = {home}/spool
data_directory = {home}/data
maillog_file = {home}/log
maillog_file_prefixes = {home}
mail_owner = postfix
setgid_group = postdrop
myhostname = mail.example.org
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 192.0.2.1/32
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
disable_dns_lookups = yes
smtpd_peername_lookup = no
virtual_mailbox_domains = static:all
virtual_mailbox_maps = static:all
virtual_transport = lmtp:inet:127.0.0.1:{lmtp_port}
smtpd_recipient_restrictions = check_recipient_access regexp:{home}/recipients, permit_sasl_authenticated, reject
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{auth_port}
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_tls_cert_file = {home}/server.pem
smtpd_tls_key_file = {home}/server.key
message_size_limit = {size_limit}
minimal_backoff_time = 5s
queue_run_delay = 5s
"""

MASTER = """\
127.0.0.1:{submission_port} inet n - n - - smtpd
127.0.0.1:{tls_port} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       n       1000?   1       tlsmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
proxymap  unix  -       -       n       -       -       proxymap
lmtp      unix  -       -       n       -       -       lmtp
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
anvil     unix  -       -       n       -       1       anvil
postlog   unix-dgram n  -       n       -       1       postlogd
"""


@dataclass(frozen=True)
class Postfix:
    """Where it listens. Its users are Dovecot's: `dovecot.new_user()` may submit and has a mailbox."""

    submission_port: int
    tls_port: int
    ca_pem: str
    home: Path

    @property
    def trust(self) -> TlsTrust:
        return TlsTrust(extra_ca=self.ca_pem)

    @property
    def dialer(self) -> Dialer:
        endpoints = frozenset(("127.0.0.1", port) for port in (self.submission_port, self.tls_port))
        return Dialer(DialPolicy(endpoints=endpoints, names={HOST: "127.0.0.1"}))

    def endpoint(self, security: Security = Security.STARTTLS, *, timeout: float = 20.0) -> Endpoint:
        port = self.tls_port if security is Security.TLS else self.submission_port
        return Endpoint(HOST, port, security, timeout)

    @property
    def log(self) -> str:
        return (self.home / "log").read_text(errors="replace") if (self.home / "log").exists() else ""

    def deliveries(self, recipient: str) -> int:
        """How many messages for `recipient` have reached their mailbox."""
        return len(re.findall(rf"to=<{re.escape(recipient)}>.*status=sent", self.log))


@contextmanager
def running_postfix(dovecot: Dovecot) -> Iterator[Postfix]:
    """Start Postfix before `dovecot`. Needs root."""
    with private_folder("es-postfix-") as home:
        home.chmod(0o755)
        authority = trustme.CA()
        certificate = authority.issue_cert(HOST, "127.0.0.1")
        certificate.private_key_pem.write_to_path(home / "server.key")
        for blob in certificate.cert_chain_pems:
            blob.write_to_path(home / "server.pem", append=True)
        for name in ("spool", "data", "etc"):
            (home / name).mkdir()
        shutil.chown(home / "data", "postfix", "postfix")
        server = Postfix(free_port(), free_port(), authority.cert_pem.bytes().decode(), home)
        values = {
            "home": home,
            "auth_port": dovecot.auth_port,
            "lmtp_port": dovecot.lmtp_port,
            "size_limit": SIZE_LIMIT,
        }
        (home / "recipients").write_text(RECIPIENTS)
        (home / "etc" / "main.cf").write_text(MAIN.format(**values))
        master = MASTER.format(submission_port=server.submission_port, tls_port=server.tls_port)
        (home / "etc" / "master.cf").write_text(master)
        program = find_program("postfix") or "postfix"
        process = start([program, "-c", home / "etc", "start-fg"], log=home / "output", folder=home)
        try:
            wait_until(lambda: _is_ready(server, process), "greeting from Postfix")
            yield server
        finally:
            subprocess.run([program, "-c", home / "etc", "abort"], capture_output=True, check=False)
            stop(process, number=signal.SIGTERM)


def _is_ready(server: Postfix, process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        said = (server.home / "output").read_text(errors="replace")
        raise RuntimeError(f"Postfix ended at once:\n{said}\n{server.log}")
    return accepts(server.submission_port) and accepts(server.tls_port)


@pytest.fixture(scope="session")
def postfix(dovecot: Dovecot) -> Iterator[Postfix]:
    """A submission server before `dovecot`."""
    if find_program("postfix") is None:
        unavailable("Postfix is not installed; on Debian: apt-get install postfix")
    if not LMTP.exists():
        unavailable("Dovecot's LMTP is not installed; on Debian: apt-get install dovecot-lmtpd")
    if os.geteuid() != 0:
        unavailable("Postfix starts as root only")
    with running_postfix(dovecot) as server:
        yield server
