"""Static files over ASGI: WhiteNoise answers with iterators of another kind than ASGI sends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import cast

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import FileResponse, HttpRequest
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile


class StaticFilesMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]  # it ships no types
    """Django would read such a file whole as well, and warn of it in the log at each start."""

    @staticmethod
    def serve(static_file: StaticFile, request: HttpRequest) -> FileResponse:
        response = cast("FileResponse", WhiteNoiseMiddleware.serve(static_file, request))
        if isinstance(request, ASGIRequest):
            response.streaming_content = _in_one_piece(cast("Iterator[bytes]", response.streaming_content))
        return response


async def _in_one_piece(blocks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Files of a few kilobytes: one way to a thread that may read, instead of one for each block."""
    yield await sync_to_async(b"".join, thread_sensitive=False)(blocks)
