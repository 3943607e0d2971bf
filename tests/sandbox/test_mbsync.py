"""mbsync as a client that everybody trusts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.sandbox.running import ALICE, CAROL, Running, running
from tests.servers.processes import find_program, unavailable

SETTINGS = """
IMAPAccount sandbox
Host 127.0.0.1
Port {port}
User {user}
Pass {password}
SSLType None
AuthMechs {mechanism}

IMAPStore far
Account sandbox

MaildirStore near
Path {folder}/
Inbox {folder}/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Near
Sync Pull
SyncState *
"""


@pytest.fixture
def mbsync() -> str:
    return find_program("mbsync") or unavailable("mbsync is missing")


def pull(mbsync: str, server: Running, user: str, folder: Path, mechanism: str = "PLAIN") -> str:
    folder.mkdir(exist_ok=True)
    settings = folder.with_suffix(".rc")
    settings.write_text(
        SETTINGS.format(port=server.imap_port, user=user, password=server.password, folder=folder, mechanism=mechanism)
    )
    done = subprocess.run(
        [mbsync, "-V", "-c", str(settings), "all"], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and time, mbsync's own notes apart."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def test_mbsync_pulls_everything_once_and_then_nothing(mbsync: str, state: Path, tmp_path: Path) -> None:
    with running(state) as server:
        for address in (ALICE, CAROL):
            folder = tmp_path / address
            pull(mbsync, server, address, folder)
            first = snapshot(folder)
            with server.imap(address) as client:
                names = [name for *_, name in client.list_folders()]
                total = sum(client.folder_status(name, ["MESSAGES"])[b"MESSAGES"] for name in names)
            pull(mbsync, server, address, folder)
            assert len(first) == total
            assert snapshot(folder) == first


def test_mbsync_signs_in_with_login_too(mbsync: str, state: Path, tmp_path: Path) -> None:
    with running(state) as server:
        pull(mbsync, server, ALICE, tmp_path / "alice", mechanism="LOGIN")
        assert snapshot(tmp_path / "alice")
