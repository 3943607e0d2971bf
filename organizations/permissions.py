"""Who may open a page. The one HTTP translation of operations (spec A4)."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

from organizations.operations import Operation
from organizations.requests import SignedInRequest

P = ParamSpec("P")
R = TypeVar("R", bound=HttpResponseBase)
View = Callable[Concatenate[SignedInRequest, P], R]


def operation_required(operation: Operation) -> Callable[[View[P, R]], View[P, R]]:
    """Let only holders of `operation` in; everybody else gets the 403 page that names it."""

    def decorate(view: View[P, R]) -> View[P, R]:
        @wraps(view)
        def guarded(request: SignedInRequest, /, *args: P.args, **kwargs: P.kwargs) -> R:
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
