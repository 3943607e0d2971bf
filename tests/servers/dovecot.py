"""A real Dovecot on free loopback ports, once per test run: any user name, one password, mail thrown away at the end.

A conftest.py makes it a fixture with `from tests.servers.dovecot import dovecot`; `running_dovecot()` works anywhere.
Each test takes a fresh user name (`dovecot.new_user()`), so tests share the server without meeting.
"""

from __future__ import annotations

import grp
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from protocols.credentials import Credentials, Secret
from protocols.endpoint import Endpoint, Security
from protocols.network import Dialer, DialPolicy
from protocols.tls import TlsTrust

PASSWORD = "correct-horse"
HOST = "localhost"
BINARY = "/usr/sbin/dovecot"
LMTP = Path("/usr/lib/dovecot/lmtp")  # in a package of its own

CONFIGURATION = """
protocols = {protocols}
listen = 127.0.0.1
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/dovecot.log
ssl = yes
ssl_cert = <{home}/server.pem
ssl_key = <{home}/server.key
disable_plaintext_auth = no
auth_verbose = yes
auth_failure_delay = 0
mail_fsync = never
mail_location = mdbox:~/mdbox
mail_max_userip_connections = 40
first_valid_uid = 1
{users}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {plain_port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service auth {{
  inet_listener {{
    address = 127.0.0.1
    port = {auth_port}
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp_port}
  }}
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={home}/mail/%u allow_all_users=yes
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Sent {{
    auto = create
    special_use = \\Sent
  }}
  mailbox Drafts {{
    auto = create
    special_use = \\Drafts
  }}
  mailbox Trash {{
    auto = create
    special_use = \\Trash
  }}
}}
"""


@dataclass(frozen=True)
class Dovecot:
    """Where the running server listens, and what is needed to reach it.

    auth_port, lmtp_port: for a Postfix that asks it for passwords and hands it mail (RFC 2033).
    """

    plain_port: int
    tls_port: int
    auth_port: int
    lmtp_port: int
    ca_pem: str
    log: Path

    @property
    def trust(self) -> TlsTrust:
        return TlsTrust(extra_ca=self.ca_pem)

    @property
    def dialer(self) -> Dialer:
        ports = (self.plain_port, self.tls_port)
        endpoints = frozenset(("127.0.0.1", port) for port in ports)
        return Dialer(DialPolicy(endpoints=endpoints, names={HOST: "127.0.0.1"}))

    def endpoint(self, security: Security = Security.NONE, *, timeout: float = 20.0) -> Endpoint:
        port = self.tls_port if security is Security.TLS else self.plain_port
        return Endpoint(HOST, port, security, timeout)

    def new_user(self, name: str = "alice") -> Credentials:
        """Credentials of a user nobody has used yet; the mailbox comes into being at the first login."""
        return Credentials(f"{name}-{secrets.token_hex(6)}@example.org", Secret(PASSWORD))


@contextmanager
def running_dovecot(*, more: str = "") -> Iterator[Dovecot]:
    """Start Dovecot with `more` configuration, wait until it answers, and stop it with everything it left behind."""
    home = Path(tempfile.mkdtemp(prefix="dovecot-", dir="/tmp"))
    home.chmod(0o755)
    try:
        authority = trustme.CA()
        server = authority.issue_cert(HOST, "127.0.0.1", "imap.sandbox.test")
        server.private_key_pem.write_to_path(home / "server.key")
        for blob in server.cert_chain_pems:
            blob.write_to_path(home / "server.pem", append=True)
        ports = _free_ports()
        configuration = home / "dovecot.conf"
        configuration.write_text(_configuration(home, *ports) + more)
        with (home / "stderr").open("wb") as stderr:
            process = subprocess.Popen([BINARY, "-F", "-c", str(configuration)], stderr=stderr)
        try:
            _wait_until_it_answers(process, ports[0], home)
            yield Dovecot(*ports, authority.cert_pem.bytes().decode(), home / "dovecot.log")
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    """A real IMAP server. Missing, it skips here and fails in CI."""
    if not Path(BINARY).exists():
        if os.environ.get("CI"):
            pytest.fail("Dovecot is not installed")
        pytest.skip("Dovecot is not installed")
    with running_dovecot() as server:
        yield server


def _configuration(home: Path, plain_port: int, tls_port: int, auth_port: int, lmtp_port: int) -> str:
    mail = home / "mail"
    mail.mkdir()
    if os.getuid() == 0:
        owner = pwd.getpwnam("nobody")
        uid, gid = owner.pw_uid, owner.pw_gid
        os.chown(mail, uid, gid)
        users = ""
    else:
        uid, gid = os.getuid(), os.getgid()
        me, group = pwd.getpwuid(uid).pw_name, grp.getgrgid(gid).gr_name
        users = f"default_internal_user = {me}\ndefault_login_user = {me}\ndefault_internal_group = {group}\n"
    return CONFIGURATION.format(
        home=home,
        users=users,
        protocols="imap lmtp" if LMTP.exists() else "imap",
        plain_port=plain_port,
        tls_port=tls_port,
        auth_port=auth_port,
        lmtp_port=lmtp_port,
        password=PASSWORD,
        uid=uid,
        gid=gid,
    )


def _free_ports() -> list[int]:
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(4)]
        return [listener.getsockname()[1] for listener in listeners]


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, home: Path) -> None:
    for _ in range(200):
        if process.poll() is not None:
            break
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as sock:
                if sock.recv(4) == b"* OK":
                    return
        except OSError:
            time.sleep(0.05)
    log = home / "dovecot.log"
    said = (home / "stderr").read_text() + (log.read_text() if log.exists() else "")
    raise RuntimeError(f"Dovecot did not start: {said[-2000:]}")
