"""What those who answer an API call share: who calls, which scope is needed, what goes wrong, a page of a list.

The routers of the apps stand on this; `emailsettings.api` puts them together and writes the problem documents.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.cache import cache
from django.forms import BaseForm
from django.http import HttpRequest
from django.utils import timezone
from ninja.security import HttpBearer
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from organizations import tokens
from organizations.models import ApiToken, User
from organizations.operations import Operation
from organizations.paging import PAGE_SIZE, is_cursor
from organizations.requests import SignedInRequest
from organizations.scopes import Scope

log = logging.getLogger(__name__)

REFUSED_TOKENS: Final = 30  # of one address within REFUSED_PERIOD; a token that works is never held back
REFUSED_PERIOD: Final = 300  # seconds
LARGEST_KEY: Final = 2**63 - 1
PROBLEM_TYPES: Final = "/api/v1/docs#problem-"  # where each kind is explained

Key = Annotated[int, Field(ge=1, le=LARGEST_KEY)]
#: One or many lines without NUL, which no database and no mail server takes.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]


def _only_as_a_day(value: object) -> object:
    """Raises ValueError for what else would be read as one: "0.0" as seconds since 1970, "2026-11-21T00:00" as well."""
    if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        raise ValueError("Write a day as in 2026-11-21")
    return value


#: A day in a query, as RFC 3339 writes it (full-date).
Day = Annotated[date, BeforeValidator(_only_as_a_day)]


def _moment(value: object) -> object:
    """Raises ValueError for what is no moment, or one of a place that is not named."""
    if isinstance(value, str):
        if not re.fullmatch(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", value, re.ASCII):
            raise ValueError("Write a moment with its offset, as in 2026-11-21T10:00:00Z or 2026-11-21T11:00:00+01:00")
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    return value


#: A moment in a body, as RFC 3339 writes it (date-time); always UTC.
Moment = Annotated[datetime, BeforeValidator(_moment)]


class ApiRequest(SignedInRequest):
    """For annotations only: `user` is the person behind the token, `auth` the token."""

    auth: ApiToken


class Asked(BaseModel):
    """The body of a request: JSON types as they are, no members that nobody knows."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @property
    def sent(self) -> dict[str, object]:
        """The members that were there."""
        return self.model_dump(exclude_unset=True)


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one member of the request; field "" is the request as a whole."""

    field: str
    message: str


class Problem(Exception):
    """A call is answered with a problem document (RFC 9457).

    kind:    stable name of the problem, the end of its type.
    retry_after: seconds, for those that pass.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        title: str,
        detail: str = "",
        *,
        errors: Iterable[FieldError] = (),
        retry_after: int | None = None,
        headers: dict[str, str] | None = None,
        more: dict[str, object] | None = None,
    ) -> None:
        super().__init__(title)
        self.status, self.kind, self.title, self.detail = status, kind, title, detail
        self.errors = tuple(errors)
        self.retry_after = retry_after
        self.headers = headers or {}
        self.more = more or {}

    @property
    def document(self) -> dict[str, object]:
        """As it is answered."""
        document: dict[str, object] = {
            "type": f"{PROBLEM_TYPES}{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail or self.title,
            **self.more,
        }
        if self.errors:
            document["errors"] = [{"field": error.field, "message": error.message} for error in self.errors]
        return document


class Invalid(Problem):
    """Something in the request cannot be taken; each error names its field."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__(
            422, "invalid", "Something in the request needs to be corrected.", _in_words(errors), errors=errors
        )


def invalid(field: str, message: str) -> Invalid:
    return Invalid(FieldError(field, message))


def invalid_form(form: BaseForm) -> Invalid:
    """The errors of a form that pages use too, with the same sentences."""
    return Invalid(
        *(
            FieldError("" if field == "__all__" else field, str(message))
            for field, messages in form.errors.items()
            for message in messages
        )
    )


class Listing(BaseModel):
    """Which part of a list is asked for."""

    cursor: str = Field("", max_length=60, pattern=r"^[0-9-]*$", description="`next` of the page before.")
    limit: int = Field(PAGE_SIZE, ge=1, le=100, description="How many at most.")

    @property
    def checked_cursor(self) -> str:
        """A cursor that is none would begin at the top again, and again: programs are told. Raises Invalid."""
        if self.cursor and not is_cursor(self.cursor):
            raise invalid("cursor", "This is no cursor. Use `next` of the page before as it is.")
        return self.cursor


def form_values(form: BaseForm, sent: Mapping[str, object]) -> dict[str, object]:
    """What a form reads: as it stands, with what was sent in its place. `form` is unbound."""
    before = {name: form[name].value() for name in form.fields}
    return {name: "" if value is None else value for name, value in {**before, **sent}.items()}


class BearerToken(HttpBearer):
    """`Authorization: Bearer ems_...` (RFC 6750). A session cookie opens nothing here, so there is nothing to forge."""

    openapi_description = "An API token. Make one on the page “API tokens” of your profile."

    def __init__(self, scope: Scope, *operations: Operation) -> None:
        super().__init__()
        self.scope, self.operations = scope, operations

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken:
        now = timezone.now()
        found = tokens.open_token(token.strip(), now)
        if found is None:
            raise _refused(request)
        if self.scope not in found.scopes:
            raise _narrow(self.scope)
        user = found.user
        if self.operations and not any(map(user.may, self.operations)):
            raise without(*self.operations)
        tokens.note_use(found, now)
        user.token = found
        request.user = user
        _live_in_time_of(user)
        return found


def needs(scope: Scope, *operations: Operation) -> BearerToken:
    """For `auth=` of a call: a token with `scope`, of a person with one of `operations` where any are named."""
    return BearerToken(scope, *operations)


def octets(media_type: str) -> dict[str, object]:
    """For `openapi_extra=` of a call whose answer is no JSON."""
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    return {"responses": {200: {"description": "The octets.", "content": content}}}


def _refused(request: HttpRequest) -> Problem:
    """401; 429 once an address has brought many tokens that do not work."""
    address = request.META.get("REMOTE_ADDR", "")
    key = f"refused-tokens:{address}"
    cache.add(key, 0, REFUSED_PERIOD)
    try:
        number = cache.incr(key)
    except ValueError:  # it ended in between
        number = 1
    log.warning("An API token was refused, number %s from %s", number, address)
    if number > REFUSED_TOKENS:
        return Problem(
            429,
            "too-many-refusals",
            "Too many tokens from your address were refused.",
            "Wait five minutes, and check the token.",
            retry_after=REFUSED_PERIOD,
        )
    return Problem(
        401,
        "token-refused",
        "This token does not work.",
        "It is unknown, has expired, was revoked, or its owner was switched off. Make a new one in your profile.",
        headers={"WWW-Authenticate": 'Bearer realm="emailsettings", error="invalid_token"'},
    )


def _narrow(scope: Scope) -> Problem:
    return Problem(
        403,
        "scope-missing",
        "The token is not meant for this.",
        f"This needs the scope {scope.value} ({scope.label}). Make a token that has it.",
        headers={
            "WWW-Authenticate": f'Bearer realm="emailsettings", error="insufficient_scope", scope="{scope.value}"'
        },
        more={"scope": scope.value},
    )


def without(*operations: Operation, what: str = "This") -> Problem:
    """403: the person holds none of the operations that would allow `what`."""
    names = " or ".join(f"“{operation.label}”" for operation in operations)
    return Problem(
        403,
        "operation-missing",
        "You may not do this.",
        f"{what} needs the operation {names}. An administrator can grant it to you.",
    )


def _live_in_time_of(user: User) -> None:
    """Days in searches and filters begin at the person's own midnight, as on the pages."""
    try:
        timezone.activate(ZoneInfo(user.time_zone))
    except (ZoneInfoNotFoundError, ValueError):
        timezone.deactivate()


def field_errors(errors: Iterable[Mapping[str, Any]], path: Callable[[tuple[object, ...]], str]) -> list[FieldError]:
    """What pydantic found, in sentences that name the member. path: how it is named, from where pydantic found it."""
    return [FieldError(path(error["loc"]), _sentence(error)) for error in errors]


def _sentence(error: Mapping[str, Any]) -> str:
    kind, message = error["type"], printable(error["msg"]).removeprefix("Value error, ")
    if kind == "missing":
        return "This is missing."
    if kind == "extra_forbidden":
        return "Nothing of this name is known here."
    if kind == "string_pattern_mismatch":
        return "There are characters in it that cannot be taken."
    return f"{message}."


def printable(part: object) -> str:
    """Without lone surrogates, which JSON lets in and no answer can carry."""
    return str(part).encode("utf-8", "replace").decode()


def _in_words(errors: Iterable[FieldError]) -> str:
    return " ".join(f"{error.field}: {error.message}" if error.field else error.message for error in errors)[:2000]
