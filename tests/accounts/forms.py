"""Posting forms as the pages do, and reading what comes back."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.test import Client

HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/communications/settings/email"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. lines: of a live check, in order; empty for a plain answer."""

    status: int
    text: str
    lines: list[dict[str, Any]]
    headers: dict[str, str]

    @property
    def words(self) -> str:
        """The text without markup, each run of white space as one space."""
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", self.text)).split())

    @property
    def goes_to(self) -> str | None:
        return next((line["go"] for line in self.lines if "go" in line), None)

    @property
    def verdicts(self) -> list[bool]:
        return [line["ok"] for line in self.lines if "ok" in line]

    def value_of(self, name: str) -> str | None:
        """The value that the form shows in the field `name`; None where it shows none."""
        found = re.search(rf'<input[^>]*name="{name}"[^>]*>', self.text)
        value = re.search(r'value="([^"]*)"', found[0]) if found else None
        return html.unescape(value[1]) if value else None


@dataclass(frozen=True, slots=True)
class Form:
    """A form with its address; calling it posts `values` with changes (None leaves a value out)."""

    client: Client
    url: str
    values: dict[str, object]

    def __call__(self, **changes: object) -> Answer:
        values = {name: value for name, value in {**self.values, **changes}.items() if value is not None}
        return answer_of(self.client.post(self.url, values, headers=HTMX))

    def get(self) -> Answer:
        return answer_of(self.client.get(self.url, headers=HTMX))


def answer_of(response: HttpResponse) -> Answer:
    if isinstance(response, StreamingHttpResponse):
        lines = [json.loads(line) for line in b"".join(response.streaming_content).splitlines()]  # type: ignore[arg-type]
        text = "\n".join(str(line[key]) for line in lines for key in ("begin", "step", "end") if key in line)
        return Answer(response.status_code, text, lines, dict(response.headers))
    return Answer(response.status_code, response.content.decode(), [], dict(response.headers))
