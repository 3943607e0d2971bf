"""The work behind `benchmarks/idle`: the stub, and each contender in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles

import trustme

from benchmarks.report import Figure, options, ratio, report

NOTICES = 500
OURS, PEERS = "emailsettings", ("IMAPClient", "bare socket")


def main(arguments: list[str]) -> None:
    parser = options(__doc__ or "", rounds=3)
    parser.add_argument("--connections", type=int, default=10_000, help="of ours (default 10,000)")
    parser.add_argument("--peer-connections", type=int, default=2_000, help="of each peer (default 2,000)")
    parser.add_argument("--tls", action="store_true", help="over TLS, which takes memory of its own")
    chosen = parser.parse_args(arguments)
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in (OURS, *PEERS)}
    with tempfile.TemporaryDirectory() as folder:
        certificate = _certificate(Path(folder)) if chosen.tls else None
        for number in range(chosen.rounds):
            for name, rounds in measured.items():
                connections = chosen.connections if name == OURS else chosen.peer_connections
                rounds.append(_measure(name, connections, certificate))
                print(f"round {number + 1}, {name}: {_words(rounds[-1])}", file=sys.stderr)
    report(_figures(measured, "TLS" if chosen.tls else "plain"), chosen.json)


def _figures(measured: dict[str, list[dict[str, float]]], line: str) -> list[Figure]:
    figures = []
    for key, what, unit in (
        ("memory", "memory per connection", "KB"),
        ("median", "notice to hand-over, median", "ms"),
        ("slowest", "notice to hand-over, 99 of 100", "ms"),
        ("opening", "opening a connection, processor time", "ms"),
    ):
        values = {name: [each[key] for each in rounds] for name, rounds in measured.items()}
        ratios = {peer: ratio(values[OURS], values[peer]) for peer in PEERS}
        figures.append(Figure(f"{what}, {line}", values[OURS], unit, ratios))
        figures += [Figure(f"  {peer}", values[peer], unit) for peer in PEERS]
    return figures


def _measure(name: str, connections: int, certificate: Path | None) -> dict[str, float]:
    """Run one contender against a fresh stub. It writes its figures, then when it heard of which user."""
    tls = [str(certificate), str(certificate.with_suffix(".ca"))] if certificate else []
    with (
        _process("benchmarks.imap_stub", *(["--tls", tls[0]] if tls else [])) as stub,
        _process("benchmarks.idle_contenders", name, _line(stub), str(connections), *tls[1:]) as contender,
    ):
        figures: dict[str, float] = json.loads(_line(contender))
        _say(stub, str(NOTICES))
        told = dict(json.loads(_line(stub)))
        _say(contender, str(len(told)))
        heard = dict(json.loads(_line(contender)))
        contender.stdin.close()
        stub.stdin.close()
    assert set(heard) == set(told), "a notice was not heard"
    delays = [(heard[user] - at) * 1000 for user, at in told.items()]
    return figures | {"median": median(delays), "slowest": quantiles(delays, n=100)[98]}


def _process(module: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _line(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline().strip()
    if not line:
        raise RuntimeError("A process ended before its time; what it said stands above.")
    return line


def _say(process: subprocess.Popen[str], line: str) -> None:
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _certificate(folder: Path) -> Path:
    """Key and chain for the stub in one file, the authority beside it."""
    authority, file = trustme.CA(), folder / "stub.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(file)
    authority.cert_pem.write_to_path(file.with_suffix(".ca"))
    return file


def _words(figures: dict[str, float]) -> str:
    return f"{figures['memory']:.1f} KB, {figures['median']:.2f} ms, {figures['slowest']:.2f} ms"
