"""mbsync (isync), a client that everybody trusts: it pulls the folders of an account into Maildirs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from protocols.credentials import Credentials
from tests.servers.processes import find_program, unavailable

SETTINGS = """
IMAPStore far
Host 127.0.0.1
Port {port}
User {user}
Pass {password}
SSLType None
AuthMechs {mechanism}

MaildirStore near
Path {folder}/
Inbox {folder}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns {patterns}
Create Near
Sync Pull
SyncState *
"""


@pytest.fixture(scope="session")
def mbsync() -> str:
    """The path of the program."""
    return find_program("mbsync") or unavailable("mbsync is missing")


def pull(
    program: str,
    folder: Path,
    *,
    port: int,
    user: Credentials,
    mechanism: str = "LOGIN",
    patterns: str = "*",
    patience: float | None = 60,
) -> None:
    """Pull the folders that `patterns` names into `folder`, its settings beside it.

    Raises AssertionError with what mbsync said where it failed, TimeoutExpired after `patience` seconds.
    """
    folder.mkdir(exist_ok=True)
    settings = folder.with_suffix(".rc")
    settings.write_text(
        SETTINGS.format(
            port=port,
            user=user.username,
            password=user.password.reveal(),
            folder=folder,
            mechanism=mechanism,
            patterns=patterns,
        )
    )
    command = [program, "-q", "-c", str(settings), "all"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
