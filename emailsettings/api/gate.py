"""What is refused before an operation runs: unknown addresses and methods, other media types, too large bodies."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Final

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from ninja.parser import Parser

from emailsettings.api.problems import method_not_allowed, not_found, problem_response, too_large
from emailsettings.api.schema import Document
from organizations.calls import FieldError, Invalid, Problem

LARGEST_BODY = 256 * 1024  # octets
#: Octets of those that carry files, in base64.
LARGER_BODIES: Final = {
    "outbox_send": 30 * 1024 * 1024,
    "outbox_batch": 30 * 1024 * 1024,
    "drafts_create": 30 * 1024 * 1024,
    "drafts_update": 30 * 1024 * 1024,
    "mailboxes_set_signature": 8 * 1024 * 1024,
    "providers_set_logo": 512 * 1024,
}

#: The operations at one address by method in small letters, as the OpenAPI document has them.
Address = Mapping[str, Document]
View = Callable[..., HttpResponseBase]


def limit_of(operation_id: str) -> int:
    """How many octets the body of an operation may have."""
    return LARGER_BODIES.get(operation_id, LARGEST_BODY)


class JsonParser(Parser):
    """JSON as RFC 8259 has it: in UTF-8, without NaN and Infinity."""

    def parse_body(self, request: HttpRequest) -> dict[str, object]:
        parsed: dict[str, object] = json.loads(request.body.decode("utf-8"), parse_constant=_refuse)
        return parsed


def guarded(view: View, address: Callable[[], Address]) -> View:
    """An API view: no session opens it, no forged form reaches it, and nothing of its answers is kept by caches."""

    @login_not_required
    @csrf_exempt  # bearer tokens only: a browser adds nothing to a request by itself
    @never_cache
    @wraps(view)
    def answer(request: HttpRequest, **kwargs: object) -> HttpResponseBase:
        operation = address().get((request.method or "").lower())
        try:
            if operation is not None and (problem := _hindrance(request, operation)) is not None:
                return problem_response(problem)
        except RequestDataTooBig:
            return problem_response(too_large(limit_of(operation["operationId"]) if operation else LARGEST_BODY))
        response = view(request, **kwargs)
        if response.status_code == 405:
            return problem_response(method_not_allowed(request.method or "", response["Allow"]))
        return response

    return answer


@login_not_required
@csrf_exempt
def unknown_address(request: HttpRequest) -> HttpResponse:
    return problem_response(not_found())


def _hindrance(request: HttpRequest, operation: Document) -> Problem | None:
    """Only what can be said without reading a body that is too large."""
    limit = limit_of(operation["operationId"])
    if _announced_size(request) > limit or len(request.body) > limit:
        return too_large(limit)
    if request.body and request.method != "GET" and request.content_type != "application/json":
        return Problem(
            415,
            "media-type",
            "The body has to be JSON.",
            "Send it with `Content-Type: application/json`.",
            headers={"Accept": "application/json"},
        )
    return _mistaken_names(request, operation)


def _mistaken_names(request: HttpRequest, operation: Document) -> Problem | None:
    """A mistyped filter must not be answered with everything, nor one of two values silently be left out."""
    known = {one["name"]: one for one in operation["parameters"] if one["in"] == "query"}
    unknown = sorted(set(request.GET) - known.keys())[:20]
    errors = [FieldError(name[:100], "Nothing of this name is known here.") for name in unknown]
    single = (name for name, one in known.items() if one["schema"].get("type") != "array")
    repeated = [name for name in single if len(request.GET.getlist(name)) > 1]
    errors += [FieldError(name, "Give one value; there are several.") for name in repeated]
    return Invalid(*errors) if errors else None


def _announced_size(request: HttpRequest) -> int:
    try:
        return int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON")
