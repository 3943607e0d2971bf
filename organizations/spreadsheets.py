"""Files for spreadsheets: CSV as RFC 4180 has it, written while it is sent, so that memory does not grow with it."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Iterator

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

#: Spreadsheets would run a cell that begins so.
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def lines(rows: Iterable[Iterable[str]]) -> str:
    """The rows as text; a cell that a spreadsheet would run gets an apostrophe before it."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerows([f"'{cell}" if cell.startswith(FORMULAS) else cell for cell in row] for row in rows)
    return file.getvalue()


def answer(request: HttpRequest, pieces: Iterator[str], name: str) -> StreamingHttpResponse:
    """Send `pieces` as the file `name`, each as soon as it is made."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    content = one_by_one(pieces) if isinstance(request, ASGIRequest) else pieces
    return StreamingHttpResponse(content, content_type="text/csv; charset=utf-8", headers=headers)


async def one_by_one(pieces: Iterator[str]) -> AsyncIterator[str]:
    """The same under ASGI, where Django would collect a plain iterator before the first octet leaves."""
    take = sync_to_async(lambda: next(pieces, None))
    while (piece := await take()) is not None:
        yield piece
