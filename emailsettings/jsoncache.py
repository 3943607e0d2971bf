"""What the cache keeps is JSON: who can write to the cache server must not be able to run code here (threat T26)."""

from __future__ import annotations

import json


class JsonSerializer:
    """For Django's Redis cache, in place of pickle. Whole numbers stay bare, since the server counts with them."""

    def dumps(self, value: object) -> int | bytes:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        return json.dumps(value).encode()

    def loads(self, stored: bytes | int) -> object:
        return json.loads(stored) if isinstance(stored, bytes) else stored
