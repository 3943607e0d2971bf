"""Starting, stopping, dying, and what is there afterwards."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox.store import Store
from tests.sandbox.running import ALICE, BOB, HELLO, ROOT, SUPPORT, Running, command, running


def uids_of(server: Running, address: str) -> dict[str, tuple[int, list[int]]]:
    """UIDVALIDITY and UIDs by folder."""
    found = {}
    with server.imap(address) as client:
        for *_, name in client.list_folders():
            selected = client.select_folder(name, readonly=True)
            found[name] = (selected[b"UIDVALIDITY"], client.search())
    return found


def test_the_first_start_takes_less_than_a_second_and_a_half_and_later_ones_half(tmp_path: Path) -> None:
    assert _seconds_to_ready(tmp_path / "state") < 1.5
    assert _seconds_to_ready(tmp_path / "state") < 0.5


def _seconds_to_ready(state: Path) -> float:
    """Processor time until the ready line, which other work on the machine does not stretch as it does the clock."""
    with running(state) as server:
        fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_and_soon_even_with_clients_connected(state: Path, number: signal.Signals) -> None:
    with running(state) as server, socket.create_connection(("127.0.0.1", server.imap_port)) as line:
        line.recv(1000)
        start = time.monotonic()
        assert server.stop(number) == 0
        assert time.monotonic() - start < 3  # what ./run grants it
        assert line.recv(1000).startswith(b"* BYE")


def test_a_restart_keeps_uids_ports_and_password(state: Path) -> None:
    with running(state) as server:
        before = uids_of(server, ALICE)
        server.stop()
    with running(state) as again:
        assert uids_of(again, ALICE) == before
        assert (again.imap_port, again.smtp_port) == (server.imap_port, server.smtp_port)
        assert again.password == server.password


def test_kill_minus_nine_loses_nothing_that_was_acknowledged(state: Path) -> None:
    subjects = []
    for turn in range(3):
        with running(state) as server:
            for number in range(5):
                subject = f"kill {turn}-{number}"
                server.send(ALICE, BOB, raw=f"Subject: {subject}\r\n\r\n".encode())
                subjects.append(subject)
            with server.imap(BOB) as client:
                client.append("Archive", f"Subject: appended {turn}\r\n\r\n".encode())
                client.select_folder("INBOX")
                client.add_flags(client.search()[-1], [f"kept{turn}"])
                server.stop(signal.SIGKILL)
                client.shutdown()
    with running(state) as server, server.imap(BOB, "INBOX") as client:
        last = client.search()[-len(subjects) :]
        raws = client.fetch(last, ["BODY.PEEK[HEADER.FIELDS (SUBJECT)]"])
        stored = [raws[uid][b"BODY[HEADER.FIELDS (SUBJECT)]"].decode()[9:-4] for uid in last]
        assert stored == subjects
        assert all(len(client.search(["KEYWORD", f"kept{turn}"])) == 1 for turn in range(3))
        client.select_folder("Archive")
        assert len(client.search(["SUBJECT", "appended"])) == 3


def test_it_ends_with_its_parent(state: Path) -> None:
    script = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen([*sys.argv[1:], '--parent', str(os.getpid())], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\nprint(child.pid, flush=True)\nsys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, *command(state)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert _is_alive(child)
        parent.kill()
    deadline = time.monotonic() + 20
    while _is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _is_alive(child)


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"


def refused(*words: str) -> str:
    """Start a sandbox that cannot start; return its one sentence."""
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == ""
    return done.stderr


def test_a_taken_port_is_one_sentence(state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        sentence = refused(*command(state, "--imap-port", str(port)))
    assert f"Port {port} for IMAP is taken" in sentence


def test_a_remembered_port_that_is_taken_is_replaced(state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with Store(state / "mail.sqlite3") as store:
            store.remember("imap-port", str(port))
        with running(state) as server:
            assert server.imap_port != port


def test_a_second_one_on_the_same_state_is_one_sentence(state: Path) -> None:
    with running(state):
        assert "Another sandbox is running" in refused(*command(state))


def test_bad_states_and_password_files_are_one_sentence_each(state: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    assert "is empty" in refused(*command(state, "--password-file", str(empty)))
    assert "cannot be used" in refused(*command(state, "--password-file", str(tmp_path)))
    assert "cannot be used" in refused(*command(empty / "below"))
    with Store(state / "mail.sqlite3") as store:
        store._db.execute("PRAGMA user_version=99")
    assert "newer version" in refused(*command(state))
    (state / "mail.sqlite3").write_bytes(b"this is not a database" * 500)
    assert "cannot be used" in refused(*command(state))


def test_the_password_is_readable_aloud_and_private(tmp_path: Path) -> None:
    with running(tmp_path / "state") as server:
        file = tmp_path / "state" / "password"
        assert re.fullmatch(r"[a-z]+-[a-z]+-\d{4}", server.password)
        assert file.read_text().strip() == server.password
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "state" / "mail.sqlite3").stat().st_mode) == 0o600


def test_a_password_file_of_ones_own_is_used(state: Path, tmp_path: Path) -> None:
    (tmp_path / "chosen").write_text("  kept as typed \n")
    with running(state, "--password-file", str(tmp_path / "chosen")) as server:
        assert server.password == "kept as typed"
        server.send(SUPPORT, BOB, raw=HELLO)


def test_it_listens_on_loopback_only(sandbox: Running) -> None:
    table = Path("/proc/net/tcp").read_text().splitlines()[1:]
    wanted = {f"{port:04X}" for port in (sandbox.imap_port, sandbox.smtp_port)}
    listening = [row.split()[1] for row in table if row.split()[3] == "0A" and row.split()[1].split(":")[1] in wanted]
    assert len(listening) == 2
    assert all(address.startswith("0100007F:") for address in listening)


def test_a_client_that_does_not_read_does_not_hold_up_the_others(sandbox: Running) -> None:
    with socket.create_connection(("127.0.0.1", sandbox.imap_port)) as stuck:
        stuck.sendall(f"a LOGIN {ALICE} {sandbox.password}\r\nb EXAMINE INBOX\r\n".encode())
        stuck.sendall(b"".join(b"%d UID FETCH 1:* BODY[]\r\n" % number for number in range(200)))
        start = time.monotonic()
        with sandbox.imap(BOB, "INBOX") as client:
            client.noop()
        assert time.monotonic() - start < 10
