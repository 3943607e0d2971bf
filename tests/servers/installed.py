"""Servers whose Debian packages cannot be installed beside each other: unpacked, and run in a view of their own.

The packages lie unpacked below `var/test-servers`. A server runs in mount and process namespaces of its own, in which
they are laid over /usr and /etc. That takes root; nothing outside of the namespaces is changed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.processes import accepts, free_port, private_folder, start, stop, unavailable, wait_until

ROOT = Path(__file__).parents[2]
TREES = ROOT / "var" / "test-servers"
NAMESPACES = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc")


@contextmanager
def running(name: str, packages: tuple[str, ...], *arguments: str) -> Iterator[int]:
    """Run `_NAME.sh TREE STATE PORT ARGUMENTS...`; the value is the port, once it accepts connections."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        unavailable(f"{name} needs root and Debian packages")
    tree = unpacked(name, packages)
    script = Path(__file__).with_name(f"_{name}.sh")
    port = free_port()
    with private_folder(f"{name}-") as state:
        log = state.with_suffix(".log")
        process = start([*NAMESPACES, "bash", script, tree, state, str(port), *arguments], log=log, folder=ROOT)
        try:
            wait_until(lambda: accepts(port) or process.poll() is not None, f"an answer of {name}", seconds=60)
            assert process.poll() is None, log.read_text()[-2000:]
            yield port
        finally:
            stop(process)
            log.unlink(missing_ok=True)


def unpacked(name: str, packages: tuple[str, ...]) -> Path:
    """Download `packages` and what they need beyond this machine's own, and unpack them; once for all runs."""
    tree = TREES / name
    TREES.mkdir(parents=True, exist_ok=True)
    with (TREES / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (tree / "complete").exists():
            return tree
        shutil.rmtree(tree, ignore_errors=True)
        with private_folder("packages-") as folder:
            options = ["-qq", "--yes", "--download-only", "--no-install-recommends"]
            cache = ["-o", f"Dir::Cache::archives={folder}", "-o", "APT::Sandbox::User=root"]
            subprocess.run(["apt-get", *options, *cache, "install", *packages], check=True, stdout=subprocess.DEVNULL)
            for package in folder.glob("*.deb"):
                if not _is_installed(package.name.partition("_")[0]):
                    subprocess.run(["dpkg", "-x", package, tree], check=True)
        for part in ("lib", "sbin", "bin"):  # links into /usr on the machine itself
            if (tree / part).is_dir():
                shutil.copytree(tree / part, tree / "usr" / part, symlinks=True, dirs_exist_ok=True)
        (tree / "complete").touch()
    return tree


def _is_installed(package: str) -> bool:
    """Libraries of this machine stay as they are, also where a newer one was downloaded."""
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout == "installed"
