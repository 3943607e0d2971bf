"""A TCP proxy that does to a real connection what networks do: cut it, slow it, reset it, swallow what was said.

    with fault_proxy(server.port, Fault(cut_after=4096)) as proxy:
        ... connect to proxy.port ...

Offsets count the octets from the server to the client on one connection. The fault can be exchanged while it runs.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

BLOCK = 16 * 1024
SENDS_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing sends RST


@dataclass(frozen=True)
class Fault:
    """What happens to each connection; without any field it is a faithful proxy.

    cut_after:   close both ends behind this many octets to the client.
    reset:       by RST in place of FIN.
    silent_from: pass nothing more to the client from this octet on, and keep the line open.
    delay:       seconds before each block.
    rate:        octets per second to the client.
    swallow:     a pattern; a block to the client that fits it is dropped, and the line closed: the final reply is lost.
    """

    cut_after: int | None = None
    reset: bool = False
    silent_from: int | None = None
    delay: float = 0.0
    rate: int | None = None
    swallow: re.Pattern[bytes] | None = None


@dataclass
class FaultProxy:
    """Runs until `stop`. to_server and to_client count the octets of all connections, commands the lines sent."""

    target: int
    fault: Fault
    connections: int = 0
    to_server: int = 0
    to_client: int = 0
    commands: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [self._start(self._accept)]

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._open:
            _end(sock)
        for thread in self._threads:
            thread.join(5)

    def _start(self, work: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        thread.start()
        return thread

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target), timeout=10)
            except OSError:
                return
            server.settimeout(None)
            self.connections += 1
            self._open += [client, server]
            self._threads.append(self._start(self._upward, client, server))
            self._threads.append(self._start(self._downward, client, server, self.fault))

    def _upward(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(BLOCK):
                self.to_server += len(data)
                self.commands += data.splitlines()
                server.sendall(data)
        _end(server)

    def _downward(self, client: socket.socket, server: socket.socket, fault: Fault) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := server.recv(BLOCK):
                if fault.delay:
                    time.sleep(fault.delay)
                if fault.swallow is not None and fault.swallow.search(data):
                    break
                if fault.silent_from is not None:
                    data = data[: max(0, fault.silent_from - passed)]
                kept = data if fault.cut_after is None else data[: fault.cut_after - passed]
                self._pass(client, kept, fault)
                passed += len(kept)
                self.to_client += len(kept)
                if fault.cut_after is not None and passed >= fault.cut_after:
                    break
        if fault.reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, SENDS_RESET)
            client.close()
        _end(client)
        _end(server)

    def _pass(self, client: socket.socket, data: bytes, fault: Fault) -> None:
        step = len(data) if fault.rate is None else max(1, fault.rate // 20)
        for start in range(0, len(data), step or 1):
            client.sendall(data[start : start + step])
            if fault.rate is not None:
                time.sleep(1 / 20)


def _end(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


@contextlib.contextmanager
def fault_proxy(target: int, fault: Fault = Fault()) -> Iterator[FaultProxy]:
    """Run a proxy to a loopback port for the block."""
    proxy = FaultProxy(target, fault)
    try:
        yield proxy
    finally:
        proxy.stop()
