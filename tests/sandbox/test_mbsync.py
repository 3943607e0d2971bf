"""mbsync as a client that everybody trusts."""

from __future__ import annotations

from pathlib import Path

from protocols.credentials import Credentials, Secret
from tests.sandbox.running import ALICE, CAROL, Running, running
from tests.servers.mbsync import pull


def pull_all(mbsync: str, server: Running, user: str, folder: Path, mechanism: str = "PLAIN") -> None:
    credentials = Credentials(user, Secret(server.password))
    pull(mbsync, folder, port=server.imap_port, user=credentials, mechanism=mechanism)


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its size and time, mbsync's own notes apart."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


def test_mbsync_pulls_everything_once_and_then_nothing(mbsync: str, state: Path, tmp_path: Path) -> None:
    with running(state) as server:
        for address in (ALICE, CAROL):
            folder = tmp_path / address
            pull_all(mbsync, server, address, folder)
            first = snapshot(folder)
            with server.imap(address) as client:
                names = [name for *_, name in client.list_folders()]
                total = sum(client.folder_status(name, ["MESSAGES"])[b"MESSAGES"] for name in names)
            pull_all(mbsync, server, address, folder)
            assert len(first) == total
            assert snapshot(folder) == first


def test_mbsync_signs_in_with_login_too(mbsync: str, state: Path, tmp_path: Path) -> None:
    with running(state) as server:
        pull_all(mbsync, server, ALICE, tmp_path / "alice", mechanism="LOGIN")
        assert snapshot(tmp_path / "alice")
