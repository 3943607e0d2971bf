"""Real mail servers of several makers that take any mail from this machine and hand it on to one port of ours.

What they make of a message is seen at that port. Each needs root; Exim and OpenSMTPD are unpacked, not installed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from tests.servers import installed
from tests.servers.relay import running_relay


@contextmanager
def a_postfix(next_port: int) -> Iterator[int]:
    with running_relay(next_port) as relay:
        yield relay.port


@contextmanager
def an_exim(next_port: int) -> Iterator[int]:
    with installed.running("exim", ("exim4-daemon-light",), str(next_port)) as port:
        yield port


@contextmanager
def an_opensmtpd(next_port: int) -> Iterator[int]:
    with installed.running("opensmtpd", ("opensmtpd",), str(next_port)) as port:
        yield port


RELAYS: Final[dict[str, Callable[[int], AbstractContextManager[int]]]] = {
    "postfix": a_postfix,
    "exim": an_exim,
    "opensmtpd": an_opensmtpd,
}
