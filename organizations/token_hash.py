"""What is stored of a token that is shown once: links, invitations, API tokens.

Plain SHA-256 is enough, since each token has far more than 128 random bits and cannot be guessed from its hash.
"""

from __future__ import annotations

import hashlib


def hash_of(token: str) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(token.encode()).hexdigest()
