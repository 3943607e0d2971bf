"""Problem documents (RFC 9457): whatever goes wrong in the API is answered in this one form."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import TypeVar

from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from organizations.calls import Invalid, Problem, field_errors, printable

E = TypeVar("E", bound=Exception)

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
KINDS = {
    "not-json": "The body is not JSON, or nested beyond reason.",
    "token-missing": "The request brings no token.",
    "token-refused": "The token is unknown, expired or revoked, or its owner was switched off.",
    "scope-missing": "The token has not the scope that the operation needs; the document names it in scope.",
    "token-bound": "The token is bound to certain mailboxes, and this is about more than them.",
    "operation-missing": "You lack an operation that an administrator can grant.",
    "forbidden": "You lack a right to this very thing.",
    "may-not-send": "You have no right to send from the mailbox.",
    "may-not-decide": "You only see this message in the log.",
    "not-found": "There is no such thing, or you may not know of it.",
    "content-unavailable": "The stored octets of a message cannot be read.",
    "method-not-allowed": "The address exists, the method does not; the header Allow names those that do.",
    "key-reused": "The Idempotency-Key stands for another mail; the document names it in earlier.",
    "too-late": "The mail has left, or is leaving; the document says in detail what became of it.",
    "no-room": "The disk of the database is full. Nothing was queued; repeat it with the same key once there is room.",
    "not-kept": "The database takes nothing just now. Nothing was queued; repeat it with the same key.",
    "nothing-changed": "The message is in no state in which this decision means anything.",
    "changed-meanwhile": "Somebody else was quicker. Read the present state and try again.",
    "last-administrator": "Nobody would be left who administers the organization.",
    "password-refused": "The mail server refused the stored password. Store the right one.",
    "password-unreadable": "The key that sealed a stored password is gone. Store the password again.",
    "not-in-trash": "Only what lies in the trash or in spam is deleted for good.",
    "mail-server": "The mail server did not do what was asked; the document has its diagnosis.",
    "only-sends": "The mailbox has no IMAP server.",
    "already-connected": "You have connected this address already; the document names the mailbox.",
    "not-connected": "The mail servers did not let the mailbox in; the document has the members of a check.",
    "too-large": "The request is larger than the operation takes.",
    "media-type": "The body has to be application/json.",
    "invalid": "Members of the request need to be corrected; errors names each.",
    "too-many-checks": "Three of your checks are running already.",
    "too-many-refusals": "Many tokens from your address were refused.",
    "defect": "A defect in this program. It has been logged.",
}


def problem_response(problem: Problem) -> HttpResponse:
    headers = dict(problem.headers)
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    return HttpResponse(json.dumps(problem.document), status=problem.status, content_type=MEDIA_TYPE, headers=headers)


def answer_problems(api: NinjaAPI) -> None:
    """Have `api` answer every exception with a problem document."""
    _answer(api, Problem, lambda exc: exc)
    _answer(api, AuthenticationError, lambda exc: no_token())
    _answer(api, ValidationError, _invalid)
    _answer(api, Http404, lambda exc: not_found())
    _answer(api, PermissionDenied, _forbidden)
    _answer(api, RequestDataTooBig, lambda exc: too_large(settings.DATA_UPLOAD_MAX_MEMORY_SIZE))
    _answer(api, HttpError, lambda exc: _not_json())
    _answer(api, UnreadablePostError, lambda exc: _not_json())
    api.add_exception_handler(Exception, _defect)


def _answer(api: NinjaAPI, kind: type[E], problem_of: Callable[[E], Problem]) -> None:
    def handle(request: HttpRequest, exc: E | type[E]) -> HttpResponse:
        assert isinstance(exc, kind)
        return problem_response(problem_of(exc))

    api.add_exception_handler(kind, handle)


def no_token() -> Problem:
    return Problem(
        401,
        "token-missing",
        "This needs an API token.",
        "Send it as `Authorization: Bearer ems_...`. You make one in your profile, on the page “API tokens”.",
        headers={"WWW-Authenticate": 'Bearer realm="emailsettings"'},
    )


def not_found() -> Problem:
    return Problem(404, "not-found", "There is no such thing here.", "Or you may not know of it.")


def method_not_allowed(method: str, allowed: str) -> Problem:
    return Problem(
        405,
        "method-not-allowed",
        "This address does not take that method.",
        f"{method} means nothing here; {allowed} would.",
        headers={"Allow": allowed},
    )


def too_large(limit: int) -> Problem:
    """limit: octets."""
    return Problem(413, "too-large", "The request is too large.", f"This address takes at most {limit:,} octets.")


def _not_json() -> Problem:
    return Problem(400, "not-json", "The body cannot be read.", "It has to be one JSON value in UTF-8 (RFC 8259).")


def _forbidden(exc: PermissionDenied) -> Problem:
    return Problem(403, "forbidden", "You may not do this.", str(exc))


def _invalid(exc: ValidationError) -> Problem:
    """The errors of the schemas, in sentences that name the member."""
    return Invalid(*field_errors(exc.errors[:100], _member))


def _member(location: tuple[object, ...]) -> str:
    """("body", "body", "to", 0, "address") -> "to.0.address"; the parameter's own name is ours, not the caller's."""
    source, *path = location
    named = path[1:] if source == "body" or (len(path) > 1 and path[0] in ("listing", "asked")) else path
    return ".".join(printable(part) for part in named)[:200]


def _defect(request: HttpRequest, exc: Exception | type[Exception]) -> HttpResponse:
    assert isinstance(exc, Exception)
    log.error("A defect in the API: %s %s", request.method, request.path, exc_info=exc)
    return problem_response(Problem(500, "defect", "Something broke on our side.", "It has been logged."))
