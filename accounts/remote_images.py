"""Fetch an image that a pasted signature shows from the web, so that it can be kept with the mailbox (threats T1, T9).

Only https, only public addresses, by the guarded dialer; no cookies, no Referer, and at most three redirections.
"""

from __future__ import annotations

import io
import socket
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from time import monotonic
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from accounts.image_types import NotAnImage, kind_of
from organizations.dialing import trust
from protocols.endpoint import Endpoint, Security
from protocols.errors import MailError
from protocols.network import Dialer, DialPolicy
from protocols.tls import wrap

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HTTPS_PORT: Final = 443
PATIENCE: Final = 15.0  # seconds for everything
REDIRECTIONS: Final = 3
LONGEST_ADDRESS: Final = 2_000  # characters
_MOVED: Final = frozenset((301, 302, 303, 307, 308))


class CannotFetch(Exception):
    """There is no image to be had at this address. The text is a sentence."""


def dialer() -> Dialer:
    """Public addresses alone: networks that are allowed for mail servers are none of a signature's business."""
    return Dialer(DialPolicy(ports=frozenset((HTTPS_PORT,))))


def fetch_image(address: str, limit: int) -> tuple[str, bytes]:
    """Return content type and octets of the image at `address`, at most `limit` octets. Raises CannotFetch."""
    deadline = monotonic() + PATIENCE
    for _ in range(REDIRECTIONS + 1):
        answer = _get(address, limit, deadline)
        if isinstance(answer, bytes):
            try:
                return kind_of(answer), answer
            except NotAnImage as exc:
                raise CannotFetch(str(exc)) from exc
        address = urljoin(address, answer)
    raise CannotFetch("The address leads on and on to others.")


def _get(address: str, limit: int, deadline: float) -> bytes | str:
    """Return the content, or the address that it has moved to. Raises CannotFetch."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port or HTTPS_PORT
    except ValueError as exc:
        raise CannotFetch("This is not an address.") from exc
    printable = address.isascii() and address.isprintable() and " " not in address
    if parts.scheme != "https" or not host or len(address) > LONGEST_ADDRESS or not printable:
        raise CannotFetch("Images are fetched from https addresses only.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = HTTPSConnection(host, port)
    try:
        plain = dialer().connect(host, port, timeout=_seconds_until(deadline))
        plain.settimeout(_seconds_until(deadline))
        connection.sock = protected = wrap(plain, Endpoint(host, port, Security.TLS), trust=trust())
        connection.request("GET", path, headers={"Accept": "image/*", "User-Agent": "emailsettings"})
        response = HTTPResponse(protected, method="GET")
        response.fp.close()
        response.fp = io.BufferedReader(_ReadsUntil(protected, deadline))
        response.begin()
        if response.status in _MOVED:
            return response.headers.get("Location", "")
        if response.status != 200:
            raise CannotFetch(f"The server of the image answered {response.status}.")
        content = bytearray()
        while piece := response.read1(65_536):
            content += piece
            if len(content) > limit:
                raise CannotFetch("The image is too large.")
        return bytes(content)
    except TimeoutError as exc:
        raise CannotFetch("The server of the image is too slow.") from exc
    except (MailError, HTTPException, OSError) as exc:
        raise CannotFetch("The server of the image cannot be reached.") from exc
    finally:
        connection.close()


def _seconds_until(deadline: float) -> float:
    """Raises TimeoutError once it has passed."""
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError("out of time")
    return left


class _ReadsUntil(io.RawIOBase):
    """Reads that all together wait until `deadline`, however slowly single octets come.

    A timeout of the socket begins anew with each read, and a head alone may be a hundred lines of 64 KB.
    """

    def __init__(self, protected: socket.socket, deadline: float) -> None:
        self._protected, self._deadline = protected, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        self._protected.settimeout(_seconds_until(self._deadline))
        return self._protected.recv_into(buffer)
