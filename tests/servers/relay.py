"""A real Postfix that relays everything to one server of the test's choice, and so writes real delivery reports.

Its reports take the same way: the test receives them at that server. It needs root, as Postfix's master process does.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

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

MAIN = """\
compatibility_level = 3.6
queue_directory = {home}/spool
data_directory = {home}/data
maillog_file = {home}/log
maillog_file_prefixes = {home}
mail_owner = postfix
setgid_group = postdrop
myhostname = relay.example.org
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.1/32
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtpd_reject_unlisted_recipient = no
smtpd_relay_restrictions = permit_mynetworks, reject
relayhost = [127.0.0.1]:{next_port}
transport_maps = inline:{{
  {{nowhere.example = smtp:[127.0.0.1]:{closed_port}}}
  {{gone.example = error:5.1.2 no such domain}} }}
bounce_size_limit = 2000
smtp_tls_security_level = none
delay_warning_time = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
"""

MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup   unix  n       -       n       -       0       cleanup
qmgr      unix  n       -       n       1       1       qmgr
rewrite   unix  -       -       n       -       -       trivial-rewrite
bounce    unix  -       -       n       -       0       bounce
defer     unix  -       -       n       -       0       bounce
trace     unix  -       -       n       -       0       bounce
proxymap  unix  -       -       n       -       -       proxymap
smtp      unix  -       -       n       -       -       smtp
error     unix  -       -       n       -       -       error
retry     unix  -       -       n       -       -       error
postlog   unix-dgram n  -       n       -       1       postlogd
"""


@dataclass(frozen=True)
class Relay:
    """port: takes any mail from this machine."""

    port: int
    home: Path

    @property
    def log(self) -> str:
        return (self.home / "log").read_text(errors="replace") if (self.home / "log").exists() else ""


@contextmanager
def running_relay(next_port: int) -> Iterator[Relay]:
    """Start Postfix before the server at `next_port`. Mail for nowhere.example waits, for gone.example it fails."""
    program = find_program("postfix")
    if program is None:
        unavailable("Postfix is not installed; on Debian: apt-get install postfix")
    if os.geteuid() != 0:
        unavailable("Postfix starts as root only")
    with private_folder("es-relay-") as home:
        home.chmod(0o755)
        for name in ("spool", "data", "etc"):
            (home / name).mkdir()
        shutil.chown(home / "data", "postfix", "postfix")
        server = Relay(free_port(), home)
        main = MAIN.format(home=home, next_port=next_port, closed_port=free_port())
        (home / "etc" / "main.cf").write_text(main)
        (home / "etc" / "master.cf").write_text(MASTER.format(port=server.port))
        process = start([program, "-c", home / "etc", "start-fg"], log=home / "output", folder=home)
        try:
            wait_until(lambda: _is_ready(server, process), "greeting from Postfix")
            yield server
        finally:
            subprocess.run([program, "-c", home / "etc", "abort"], capture_output=True, check=False)
            stop(process, number=signal.SIGTERM)


def _is_ready(server: Relay, process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        pytest.fail(f"Postfix ended at once:\n{(server.home / 'output').read_text(errors='replace')}\n{server.log}")
    return accepts(server.port)
