"""Who may open a page. The one HTTP translation of operations (spec A4)."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

from organizations.operations import Operation

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def operation_required(operation: Operation) -> Callable[[View[P]], View[P]]:
    """Let only holders of `operation` in; everybody else gets the 403 page that names it."""

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            require(request, operation)
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def require(request: HttpRequest, operation: Operation) -> None:
    """For views whose answer depends on more than the operation. Raises PermissionDenied."""
    if not request.user.is_authenticated or not request.user.may(operation):
        raise PermissionDenied(
            f"This page needs the operation “{operation.label}”. An administrator can grant it to you."
        )
