"""Why something that was asked for is not queued. The way in raises these; pages and the API tell them."""

from __future__ import annotations

from datetime import datetime


class CannotBeQueued(ValueError):
    """What was asked for cannot be sent. field: which part of it; the text is a sentence for the one who asked."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class MustNotGo(CannotBeQueued):
    """An automatic mail that might begin or feed a loop.

    reason: for programs. again_at: when it may go, where it only has to wait.
    """

    def __init__(self, reason: str, sentence: str, again_at: datetime | None = None) -> None:
        super().__init__("automatic", sentence)
        self.reason = reason
        self.again_at = again_at
