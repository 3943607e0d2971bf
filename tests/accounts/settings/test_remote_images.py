"""Images on the web that somebody pastes: fetched by us, through the guard, and only if they are images (T1, T9)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network

import pytest
from django.urls import reverse

from accounts import remote_images
from accounts.remote_images import CannotFetch, fetch_image
from protocols.network import Dialer, DialPolicy
from tests.accounts.settings.pictures import png
from tests.servers import certificates

LIMIT = 100_000
ANSWERS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/logo.png?size=2": (200, {}, png()),
    "/moved": (302, {"Location": "/logo.png?size=2"}, b""),
    "/round": (302, {"Location": "/round"}, b""),
    "/to-http": (302, {"Location": "http://mail.sandbox.test/logo.png"}, b""),
    "/to-inside": (302, {"Location": "https://127.0.0.1:1/"}, b""),
    "/nowhere": (302, {}, b""),
    "/page": (200, {"Content-Type": "image/png"}, b"<html><script>alert(1)</script>"),
    "/large": (200, {}, png() + bytes(LIMIT)),
    "/gone": (404, {}, png()),
}
TRICKLES = {
    "/slow-status": b"HTTP/1.1 2",
    "/slow-header": b"HTTP/1.1 200 OK\r\nX-Slow: ",
    "/slow-body": b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n",
    "/slow-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
}
STOP = threading.Event()


class Site(BaseHTTPRequestHandler):
    asked: list[dict[str, str]] = []

    def do_GET(self) -> None:
        Site.asked.append(dict(self.headers))
        if self.path in TRICKLES:
            self._trickle(TRICKLES[self.path])
            return
        status, headers, content = ANSWERS[self.path]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _trickle(self, start: bytes) -> None:
        """Go on with one octet after another, each well within the patience of a socket."""
        with suppress(OSError):
            self.wfile.write(start)
            while not STOP.wait(0.05):
                self.wfile.write(b"x")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def site(monkeypatch) -> Iterator[str]:
    """A server on loopback whose name the guard of this test lets through; its address without a path."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.socket = certificates.good().wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    policy = DialPolicy(
        ports=frozenset((server.server_port,)),
        networks=(ip_network("127.0.0.0/8"),),
        names={"mail.sandbox.test": "127.0.0.1"},
    )
    monkeypatch.setattr(remote_images, "dialer", lambda: Dialer(policy))
    monkeypatch.setattr(remote_images, "trust", certificates.trust)
    Site.asked.clear()
    STOP.clear()
    yield f"https://mail.sandbox.test:{server.server_port}"
    STOP.set()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("path", ["/logo.png?size=2", "/moved"])
def test_an_image_is_fetched_also_where_it_has_moved_to(site, path):
    assert fetch_image(site + path, LIMIT) == ("image/png", png())
    assert {name for headers in Site.asked for name in headers}.isdisjoint({"Cookie", "Referer", "Authorization"})


@pytest.mark.parametrize("path", ["/round", "/to-http", "/to-inside", "/nowhere", "/page", "/large", "/gone"])
def test_anything_else_is_refused(site, path):
    with pytest.raises(CannotFetch):
        fetch_image(site + path, LIMIT)


@pytest.mark.parametrize("path", TRICKLES)
def test_a_server_that_sends_octet_by_octet_holds_nobody_beyond_the_deadline(site, monkeypatch, path):
    monkeypatch.setattr(remote_images, "PATIENCE", 1.0)
    began = time.monotonic()
    with pytest.raises(CannotFetch, match="too slow"):
        fetch_image(site + path, LIMIT)
    assert 0.9 < time.monotonic() - began < 5.0


@pytest.mark.proves("J2", "T1")
@pytest.mark.parametrize(
    "address",
    [
        "https://127.0.0.1/logo.png",
        "https://[::1]/logo.png",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/logo.png",
        "https://8.8.8.8:25/",
        "http://example.org/logo.png",
        "file:///etc/passwd",
        "ftp://example.org/x.png",
        "https://",
        "https://[broken/",
        "https://example.org:99999/",
        "https://example.org/\r\nHost: inside",
        "https://example.org/" + "x" * 3000,
        "",
        "\0",
    ],
    ids=lambda text: repr(text[:40]),
)
def test_only_public_https_addresses_are_asked(address):
    with pytest.raises(CannotFetch):
        fetch_image(address, LIMIT)


def test_the_page_gets_the_image_or_a_sentence(site, client_of, alice, mailbox):
    url = reverse("accounts:settings-signature-fetch", args=[mailbox.pk])
    answer = client_of(alice).post(url, {"address": f"{site}/moved"})
    assert (answer.status_code, answer["Content-Type"], answer.content) == (200, "image/png", png())
    answer = client_of(alice).post(url, {"address": f"{site}/page"})
    assert (answer.status_code, answer["Content-Type"]) == (422, "text/plain; charset=utf-8")
