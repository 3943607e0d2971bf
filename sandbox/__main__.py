"""Start the sandbox: `python -m sandbox --state DIR`. Prints one JSON line when it is ready."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sqlite3
import sys
import time
from pathlib import Path

from sandbox import lifetime
from sandbox.people import ADDRESSES, Doorman, PasswordFileError, load_password
from sandbox.servers import LOOPBACK, Ports, PortTaken, Servers
from sandbox.store import Store, StoreError


def read_arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="folder that keeps mail, password and ports")
    parser.add_argument("--imap-port", type=_port, default=0, help="0 chooses, and stays the same at the next start")
    parser.add_argument("--smtp-port", type=_port, default=0, help="0 chooses, and stays the same at the next start")
    parser.add_argument("--password-file", type=Path, help="made if missing; default: DIR/password")
    parser.add_argument("--parent", type=int, metavar="PID", help="end when this process ends")
    parser.add_argument(
        "--later-after", type=int, default=20, metavar="SECONDS", help="how long later@sandbox.test defers (20)"
    )
    return parser.parse_args(words)


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("a port is between 0 and 65535")
    return number


def main() -> int:
    """Run until told to stop. Returns 0, or 1 after one sentence on stderr about what is in the way."""
    arguments = read_arguments()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="sandbox: %(message)s")
    try:
        arguments.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        with lifetime.lock(arguments.state):
            password = load_password(arguments.password_file or arguments.state / "password")
            with open_store(arguments.state) as store:
                asyncio.run(serve(store, password, arguments))
    except (lifetime.StateInUse, PasswordFileError, PortTaken, StoreError) as exc:
        return _give_up(str(exc))
    except sqlite3.Error as exc:
        return _give_up(f"The mail in {arguments.state} cannot be used: {exc}. Delete the folder to start afresh.")
    except OSError as exc:
        return _give_up(f"The state folder {arguments.state} cannot be used: {exc.strerror}. Choose another --state.")
    return 0


def _give_up(sentence: str) -> int:
    sys.stderr.write(f"sandbox: {sentence}\n")
    return 1


def open_store(state: Path) -> Store:
    """Open the store; on the first start fill it with the seeded mail, all of it or nothing."""
    path = state / "mail.sqlite3"
    path.touch(mode=0o600)
    store = Store(path)
    if store.fact("seeded_at") is None:
        from sandbox.seeds.planting import plant  # not needed at any later start

        now = int(time.time())
        with store.transaction():
            plant(store, now)
            store.remember("seeded_at", str(now))
    return store


async def serve(store: Store, password: str, arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    lifetime.stop_on_signals(stop)
    servers = Servers(store, Doorman(password), later_after=arguments.later_after)
    ports = await servers.start(Ports(arguments.imap_port, arguments.smtp_port))
    sys.stdout.write(ready_line(ports, password) + "\n")
    sys.stdout.flush()
    watching = None
    if arguments.parent is not None:
        watching = asyncio.create_task(lifetime.stop_with_parent(arguments.parent, stop))
    try:
        await stop.wait()
    finally:
        if watching:
            watching.cancel()
        await servers.stop()


def ready_line(ports: Ports, password: str) -> str:
    """What the parent reads: where we listen, who lives here, and the password of all."""
    return json.dumps(
        {
            "host": LOOPBACK,
            "imap_port": ports.imap,
            "smtp_port": ports.smtp,
            "password": password,
            "addresses": sorted(ADDRESSES),
        }
    )


if __name__ == "__main__":
    sys.exit(main())
