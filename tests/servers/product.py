"""The whole product as people start it: `./run` in a folder of its own, asked over HTTP, stopped by Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.environment import ROOT
from tests.servers.processes import free_port, one_at_a_time, private_folder, stop, wait_until

ADMINISTRATOR = "ada@example.org"
PASSWORD = "correct horse battery"
STARTS_IN = 120.0  # seconds; the first start installs, and two cores may be busy
STOPS_IN = 20.0

#: What the tests set for themselves and the product must find by its own defaults.
NOT_HANDED_ON = {
    *("DJANGO_SETTINGS_MODULE", "DATABASE_URL", "BROKER_URL", "CACHE_URL", "CELERY_TASK_ALWAYS_EAGER", "SECRET_KEY"),
    *("EMAILSETTINGS_ENCRYPTION_KEYS", "EMAILSETTINGS_SANDBOX", "EMAILSETTINGS_MAIL_DIR", "DJANGO_ALLOW_ASYNC_UNSAFE"),
}


@dataclass
class Product:
    """A running product.

    url:      without a slash at the end.
    email:    sign-in of the first administrator, with `password`.
    state:    its state folder.
    """

    url: str
    email: str
    password: str
    state: Path
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """Pull the plug: SIGKILL to `./run` itself, and wait until its parts have noticed."""
        self.process.kill()
        self.process.wait()
        wait_until(lambda: not self.processes(), f"end of {self.processes()}")

    @property
    def output(self) -> str:
        """What `./run` has printed so far."""
        return (self.state / "output").read_text(errors="replace")

    @property
    def sandbox_password(self) -> str:
        """The password of every sandbox mailbox, as printed at the start."""
        [line] = [line for line in self.output.splitlines() if line.startswith("Their password:")]
        return line.partition(":")[2].strip()

    def processes(self) -> dict[int, str]:
        """Process id -> command line of everything that runs on this state folder."""
        return running_on(self.state)


def running_on(state: Path) -> dict[int, str]:
    mark = f"EMAILSETTINGS_STATE_DIR={state}".encode()
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                if command:  # a zombie has none: it has ended and waits for its parent
                    found[int(folder.name)] = command
        except OSError:  # ended in between, or somebody else's
            continue
    return found


@contextmanager
def running_product(state: Path, **variables: str) -> Iterator[Product]:
    """Start `./run` on `state`, wait for the sign-in page, and stop it by Ctrl-C at the end.

    `variables` are added to its environment. Raises RuntimeError with its output when it ends early or leaves a
    process behind.
    """
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if name not in NOT_HANDED_ON} | {
        "PORT": str(port),
        "EMAILSETTINGS_STATE_DIR": str(state),
        "EMAILSETTINGS_ADMIN_EMAIL": ADMINISTRATOR,
        "EMAILSETTINGS_ADMIN_PASSWORD": PASSWORD,
        **variables,
    }
    # The first may install, and two at once would get in each other's way.
    with (state / "output").open("wb") as output, one_at_a_time("starting"):
        process = subprocess.Popen(
            [ROOT / "run"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        product = Product(f"http://127.0.0.1:{port}", ADMINISTRATOR, PASSWORD, state, process)
        try:
            wait_until(lambda: _answers(product), "sign-in page", seconds=STARTS_IN)
        except Exception as exc:
            stop(process, number=signal.SIGINT, seconds=STOPS_IN)
            raise RuntimeError(f"./run did not come up: {exc}. It said:\n{product.output}") from exc
    try:
        yield product
    finally:
        stop(process, number=signal.SIGINT, seconds=STOPS_IN)
    if process.returncode not in (0, 130, -signal.SIGKILL):  # the last is `kill()`
        raise RuntimeError(f"./run ended with {process.returncode}. It said:\n{product.output}")
    wait_until(lambda: not running_on(state), f"end of {running_on(state)}", seconds=3)


def _answers(product: Product) -> bool:
    if product.process.poll() is not None:
        raise RuntimeError("it ended")
    try:
        with urllib.request.urlopen(f"{product.url}/account/login/", timeout=5) as answer:
            return answer.status == 200
    except urllib.error.HTTPError as refused:
        raise RuntimeError(f"{refused}: {refused.read().decode(errors='replace')[:500]}") from refused
    except OSError:
        return False


@pytest.fixture(scope="session")
def live_product() -> Iterator[Product]:
    """The product on SQLite with its sandbox, shared by the walks of one worker."""
    with private_folder("es-run-") as state, running_product(state) as product:
        yield product
