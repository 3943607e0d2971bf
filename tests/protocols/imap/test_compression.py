"""A compressed line reads and writes as a plain one, and a server gains nothing by compressing nonsense (RFC 4978)."""

from __future__ import annotations

import random
import socket
import threading
import zlib
from collections.abc import Iterator

import pytest

from protocols.compression import DeflatedLine
from protocols.credentials import Credentials, Secret
from protocols.endpoint import Endpoint, Security
from protocols.errors import MailError, ProtocolViolation, Unreachable
from protocols.imap.session import open_session
from protocols.network import Dialer, DialPolicy
from protocols.transcript import Transcript
from protocols.wire import Wire
from tests.servers.dovecot import running_dovecot
from tests.servers.scripted import Peer, scripted

LOGIN = r"""
    S: * OK [CAPABILITY IMAP4rev1] ready
    C: LOGIN *
    S: {tag} OK [CAPABILITY IMAP4rev1 COMPRESS=DEFLATE] in
    C: COMPRESS DEFLATE
"""


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(20)
    with ours, theirs:
        yield ours, theirs


def deflated(octets: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(octets) + deflater.flush(zlib.Z_SYNC_FLUSH)


def compressed_wire(ours: socket.socket) -> Wire:
    wire = Wire(ours, timeout=20)
    wire.compress()
    return wire


def test_lines_and_counted_octets_come_out_as_they_were_sent(ends):
    ours, theirs = ends
    wire = compressed_wire(ours)
    octets = random.Random(4978).randbytes(100_000)
    data = deflated(b"* OK hello\r\n" + octets + b"* OK bye\r\n")
    sending = threading.Thread(target=send_in_pieces, args=(theirs, data))
    sending.start()
    assert wire.readline() == b"* OK hello"
    assert wire.read(100_000) == octets
    assert wire.readline() == b"* OK bye"
    sending.join()


def send_in_pieces(sock: socket.socket, data: bytes) -> None:
    for start in range(0, len(data), 4_999):
        sock.sendall(data[start : start + 4_999])


def test_what_is_sent_can_be_inflated_at_once(ends):
    ours, theirs = ends
    wire = compressed_wire(ours)
    inflater = zlib.decompressobj(-15)
    for command in (b"A1 NOOP\r\n", b"A2 FETCH 1:* (UID)\r\n" * 500):
        wire.send(command)
        received = b""
        while len(received) < len(command):
            received += inflater.decompress(theirs.recv(65536))
        assert received == command


def test_what_was_read_ahead_of_the_compression_is_not_lost(ends):
    ours, theirs = ends
    theirs.sendall(b"A1 OK compressed from here\r\n" + deflated(b"* 3 EXISTS\r\n"))
    wire = Wire(ours, timeout=20)
    assert wire.readline() == b"A1 OK compressed from here"
    wire.compress()
    assert wire.readline() == b"* 3 EXISTS"


@pytest.mark.proves("T25")
def test_a_gigabyte_in_a_megabyte_is_given_up_at_the_longest_line(ends):
    ours, theirs = ends
    line = DeflatedLine(ours, deflated(b"x" * 1_000_000))
    buffer = memoryview(bytearray(1000))
    assert [line.recv_into(buffer) for _ in range(1000)] == [1000] * 1000
    wire = compressed_wire(ours)
    deflater = zlib.compressobj(wbits=-15)
    bomb = b"".join(deflater.compress(b"x" * 1_000_000) for _ in range(40)) + deflater.flush(zlib.Z_SYNC_FLUSH)
    assert len(bomb) < 50_000
    theirs.sendall(bomb)
    with pytest.raises(ProtocolViolation, match="octets"):
        wire.readline()


@pytest.mark.proves("T25")
@pytest.mark.parametrize(
    "sent",
    [b"* OK not compressed at all\r\n", b"\xff" * 200, deflated(b"")[:-4] + b"\x03\x00", deflated(b"") * 1_500],
    ids=["plain text", "garbage", "the end of the stream", "nothing, endlessly"],
)
def test_what_is_no_deflate_stream_ends_the_conversation(ends, sent):
    ours, theirs = ends
    theirs.sendall(sent)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises((ProtocolViolation, Unreachable)) as failure:
        compressed_wire(ours).readline()
    assert sent[:1] == b"\x00" or isinstance(failure.value, ProtocolViolation)


def session_on(port: int, transcript: Transcript | None = None):
    dialer = Dialer(DialPolicy(endpoints=frozenset({("127.0.0.1", port)})))
    endpoint = Endpoint("127.0.0.1", port, Security.NONE, 2)
    return open_session(endpoint, Credentials("alice", Secret("secret")), dialer=dialer, transcript=transcript)


def test_a_server_that_offers_compression_and_refuses_it_is_talked_to_plainly():
    script = LOGIN + "S: {tag} NO [COMPRESSIONACTIVE] done by TLS\nC: NOOP\nS: {tag} OK fine\nC: LOGOUT\nS: {tag} OK"
    with scripted(script) as server, session_on(server.port) as session:
        session.noop()


def test_both_directions_are_compressed_after_the_go_ahead():
    def play(peer: Peer) -> None:
        peer.play(LOGIN)
        deflater, inflater = zlib.compressobj(wbits=-15), zlib.decompressobj(-15)
        peer.send(f"{peer.tag} OK from here\r\n".encode())
        said = b""
        while not said.endswith(b"NOOP\r\n"):
            said += inflater.decompress(peer.sock.recv(1000))
        tag = said.split()[0]
        peer.send(deflater.compress(tag + b" OK fine\r\n") + deflater.flush(zlib.Z_SYNC_FLUSH))
        peer.wait_for_the_client_to_leave()

    with scripted(play) as server, session_on(server.port) as session:
        session.noop()
        assert session.usable


def test_dovecot_understands_us_compressed():
    with running_dovecot(more="protocol imap {\n  mail_plugins = imap_zlib\n}\n") as dovecot:
        transcript = Transcript(None)
        letter = b"Subject: compressed\r\n\r\n" + b"The same line again and again.\r\n" * 5_000
        with open_session(
            dovecot.endpoint(), dovecot.new_user(), dialer=dovecot.dialer, transcript=transcript
        ) as session:
            session.append(b"INBOX", letter)
            session.examine(b"INBOX")
            [fetched] = session.fetch([1])
    assert fetched.raw == letter
    assert "COMPRESS DEFLATE" in str(transcript)


def test_a_line_that_breaks_is_unreachable_compressed_or_not():
    with (
        scripted(LOGIN + "S: {tag} OK from here\nCLOSE") as server,
        pytest.raises(MailError) as failure,
        session_on(server.port) as session,
    ):
        session.noop()
    assert isinstance(failure.value, Unreachable)
