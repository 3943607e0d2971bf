"""What was said on a connection, for the person who has to find out why it failed. Secrets are masked."""

from __future__ import annotations

import base64
import re
from collections import deque
from urllib.parse import quote

from protocols.credentials import Credentials
from protocols.wire import readable

LINES_KEPT = 200
MASK = "***"
SHORT = 4  # letters; shorter ones are parts of ordinary words


class Transcript:
    """The first and last lines of both sides. Nothing secret is written down; what a server echoes is masked too."""

    def __init__(self, credentials: Credentials | None) -> None:
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._secrets = _spellings(credentials) if credentials else ()

    def sent(self, line: bytes) -> None:
        self._note("C: ", line)

    def received(self, line: bytes) -> None:
        self._note("S: ", line)

    def __str__(self) -> str:
        return "\n".join(self._lines)

    def _note(self, mark: str, line: bytes) -> None:
        self._lines.append(mark + self.mask(readable(line, limit=500)))

    def mask(self, text: str) -> str:
        """Hide every spelling of the password; one of a few letters only where it stands alone, not inside of words."""
        for secret in self._secrets:
            if len(secret) >= SHORT:
                text = text.replace(secret, MASK)
            else:
                text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", MASK, text)
        return text


def _spellings(credentials: Credentials) -> tuple[str, ...]:
    """The ways in which a password may come back from a server, longest first."""
    password = credentials.password.reveal()
    if not password:
        return ()
    user = credentials.username
    plain = [f"\0{user}\0{password}", f"{user}\0{user}\0{password}", password, user + "\0" + password]
    if credentials.is_token:
        bearer = f"auth=Bearer {password}\x01\x01"
        plain += [f"user={user}\x01{bearer}", f"n,a={user},\x01{bearer}"]
    encoded = [base64.b64encode(text.encode()).decode() for text in plain]
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    spellings = {password, quoted, quote(password, safe=""), *encoded, *(text.rstrip("=") for text in encoded)}
    return tuple(sorted(spellings, key=len, reverse=True))
