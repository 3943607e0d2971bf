"""Every address under `/api/v1/`."""

from __future__ import annotations

from functools import cache, partial

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path, re_path
from django.views.decorators.http import require_GET
from ninja import NinjaAPI

import accounts.api
import accounts.connect_api
import accounts.sender_api
import accounts.sharing_api
import accounts.signature_api
import accounts.token_api
import delivery.api
import delivery.drafts_api
import delivery.log_api
import delivery.sending_api  # its operations are in the router of delivery.api: they share addresses
import delivery.suppression_api
import mailservers.api
import mailservers.provider_check_api
import mailstore.api
import mailstore.download_api
import mailstore.folder_api
import mailstore.reconciliation_api
import notifications.api
import organizations.api
import organizations.audit_api
import organizations.profile_api
import organizations.role_api
import providers.api
import providers.logo_api
from emailsettings import options_api
from emailsettings.api.docs import docs
from emailsettings.api.gate import Address, JsonParser, guarded, unknown_address
from emailsettings.api.problems import answer_problems
from emailsettings.api.schema import Document, build_schema

ROUTERS = (
    mailservers.api.router,
    providers.api.router,
    providers.logo_api.router,
    mailservers.provider_check_api.router,
    accounts.api.router,
    accounts.connect_api.router,
    accounts.signature_api.router,
    accounts.sender_api.router,
    accounts.sharing_api.router,
    mailstore.api.router,
    mailstore.folder_api.router,
    mailstore.download_api.router,
    mailstore.reconciliation_api.router,
    delivery.api.router,
    delivery.log_api.router,
    delivery.drafts_api.router,
    delivery.suppression_api.router,
    organizations.api.router,
    organizations.role_api.router,
    options_api.router,
    organizations.audit_api.router,
    organizations.profile_api.router,
    notifications.api.router,
    accounts.token_api.router,
)

VERSION = "1.0.0"

api = NinjaAPI(
    title="emailsettings",
    version=VERSION,
    description="Connect a company's mailboxes to its people and its software.",
    urls_namespace="api",
    docs_url=None,
    openapi_url=None,
    parser=JsonParser(),
)
answer_problems(api)
for router in ROUTERS:
    api.add_router("", router)


@cache
def schema() -> Document:
    return build_schema(api)


@cache
def address_of(operation_id: str) -> Address:
    """Every operation at the address of this one, by method."""
    return next(
        item
        for item in schema()["paths"].values()
        if any(operation["operationId"] == operation_id for operation in item.values())
    )


@login_not_required
@require_GET
def openapi(request: HttpRequest) -> HttpResponse:
    """The same for everybody: it says what there is, nothing about whose."""
    return JsonResponse(schema(), headers={"Cache-Control": "public, max-age=300"})


def _patterns() -> list[URLPattern]:
    patterns, _, _ = api.urls
    found = [pattern for pattern in patterns if isinstance(pattern, URLPattern) and pattern.name != "api-root"]
    for pattern in found:
        pattern.callback = guarded(pattern.callback, partial(address_of, str(pattern.name)))
    return found


app_name = "api"
urlpatterns = [
    path("docs", docs, name="docs"),
    path("openapi.json", openapi, name="openapi"),
    *_patterns(),
    re_path(r"^[\s\S]*$", unknown_address, name="unknown"),
]
