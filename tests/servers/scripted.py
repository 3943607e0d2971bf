"""A server that plays a script: lines in, lines out. For what no well-behaved server ever says.

A script is text, one action a line:

    S: * OK ready            send the line with CRLF; {tag} is the tag of the last command, {octets} the last literal
    S- partial               send without CRLF; Python escapes such as \\x00 work in both
    C: LOGIN *               read a line and match it, without its IMAP tag, against the pattern (case does not matter)
    C                        read any line
    READ 12                  read 12 octets (a literal)
    REPEAT 1000 S: line      S: or S- so many times; {n} counts from 1
    FLOOD line               the line until the client has gone
    TLS                      shake hands
    STALL                    say nothing until the client has gone
    CLOSE                    hang up now

At the end of the script the server hangs up.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase


class ScriptMismatch(AssertionError):
    """The client said something else than the script has."""


class Peer:
    """The server's end of one connection. `plaintext` is what arrived in the clear, `lines` every line."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        self.sock = sock
        self.context = context
        self.tag = ""
        self.plaintext = b""
        self.lines: list[bytes] = []
        self.commands: list[tuple[bytes, list[bytes]]] = []  # for scripts that take them apart
        self.octets = b""
        self._unread = b""

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def line(self) -> bytes:
        while b"\n" not in self._unread:
            self._receive()
        line, _, self._unread = self._unread.partition(b"\n")
        self.lines.append(line.removesuffix(b"\r"))
        return self.lines[-1]

    def read(self, size: int) -> bytes:
        while len(self._unread) < size:
            self._receive()
        self.octets, self._unread = self._unread[:size], self._unread[size:]
        return self.octets

    def start_tls(self) -> None:
        assert self.context is not None
        assert not self._unread
        self.sock = self.context.wrap_socket(self.sock, server_side=True)

    def wait_for_the_client_to_leave(self) -> None:
        while True:
            self._receive()

    def play(self, script: str) -> None:
        for action in filter(None, map(str.strip, script.splitlines())):
            word, _, rest = action.partition(" ")
            match word:
                case "S:" | "S-":
                    self.send(self._octets(rest) + (b"\r\n" if word == "S:" else b""))
                case "REPEAT":
                    times, mark, line = rest.split(" ", 2)
                    data = self._octets(line) + (b"\r\n" if mark == "S:" else b"")
                    for start in range(1, int(times) + 1, 1000):
                        numbers = range(start, min(start + 1000, int(times) + 1))
                        self.send(b"".join(data.replace(b"{n}", b"%d" % number) for number in numbers))
                case "FLOOD":
                    block = (self._octets(rest) + b"\r\n") * 1000
                    while True:
                        self.send(block)
                case "C:" | "C":
                    self._expect(rest or "*")
                case "READ":
                    self.read(int(rest))
                case "TLS":
                    self.start_tls()
                case "STALL":
                    self.wait_for_the_client_to_leave()
                case "CLOSE":
                    return
                case _:
                    raise ScriptMismatch(f"not a script line: {action}")

    def _octets(self, text: str) -> bytes:
        return text.replace("{tag}", self.tag).encode().decode("unicode_escape").encode("latin-1")

    def _expect(self, pattern: str) -> None:
        said = self.line().decode("utf-8", "replace")
        first, _, rest = said.partition(" ")
        self.tag = first
        if not any(fnmatchcase(text.upper(), pattern.upper()) for text in (said, rest)):
            raise ScriptMismatch(f"expected {pattern!r}, got {said!r}")

    def _receive(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionResetError
        self._unread += data
        if not isinstance(self.sock, ssl.SSLSocket):
            self.plaintext += data


class ScriptedServer:
    """Listens on a free loopback port and plays `script` to every client, one thread each."""

    def __init__(self, script: str | Callable[[Peer], None], context: ssl.SSLContext | None, *, tls: bool) -> None:
        self._script = script
        self._context = context
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.peers: list[Peer] = []
        self.failures: list[Exception] = []
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def plaintext(self) -> bytes:
        """Everything that any client said in the clear."""
        return b"".join(peer.plaintext for peer in self.peers)

    @property
    def lines(self) -> list[bytes]:
        return [line for peer in self.peers for line in peer.lines]

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(5)
        for thread in self._threads:
            thread.join(5)
        for peer in self.peers:
            peer.sock.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.settimeout(20)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = Peer(sock, self._context)
            self.peers.append(peer)
            thread = threading.Thread(target=self._serve, args=(peer,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, peer: Peer) -> None:
        try:
            if self._tls:
                peer.start_tls()
            if callable(self._script):
                self._script(peer)
            else:
                peer.play(self._script)
        except OSError:
            pass  # the client went away, which is often the point
        except Exception as exc:  # shown by the test that started us
            self.failures.append(exc)
        finally:
            with contextlib.suppress(OSError):
                peer.sock.shutdown(socket.SHUT_RDWR)
            peer.sock.close()


@contextlib.contextmanager
def scripted(
    script: str | Callable[[Peer], None], *, context: ssl.SSLContext | None = None, tls: bool = False
) -> Iterator[ScriptedServer]:
    """Run a scripted server for the block; what it did not expect fails the test."""
    server = ScriptedServer(script, context, tls=tls)
    try:
        yield server
    finally:
        server.stop()
    if server.failures:
        raise server.failures[0]
