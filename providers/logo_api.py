"""`/providers/{id}/logo` of the API: what people see beside the name of a provider (spec C2, L1)."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from django.http import HttpResponse
from ninja import Router, Status
from pydantic import ConfigDict, Field

from organizations.calls import ApiRequest, Asked, Text, invalid, octets
from providers import entries, logos
from providers.api import document_of, entry_or_404, reads, storing_entries, writes
from providers.resources import ProviderDocument
from providers.views.logo import logo_file

router = Router(tags=["Providers"])

LONGEST = -(-logos.LARGEST_FILE // 3) * 4  # characters of base64
A_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCB2kUIOwAAAABJRU5ErkJggg=="  # one grey pixel


class NewLogo(Asked):
    """A PNG, JPEG or WebP file of at most 256 KB and 2048 pixels a side."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"image": A_PNG}]})

    image: Annotated[Text, Field(min_length=1, max_length=LONGEST, description="Base64 (RFC 4648, 4).")]


@router.get(
    "/providers/{int:pk}/logo", auth=reads, operation_id="providers_logo", openapi_extra=octets(logos.CONTENT_TYPE)
)
def providers_logo(request: ApiRequest, pk: int) -> HttpResponse:
    """The logo of an own service, a PNG of 128 pixels. `has_logo` says whether there is one."""
    return logo_file(request, pk)


@router.put("/providers/{int:pk}/logo", auth=writes, operation_id="providers_set_logo", response=ProviderDocument)
def providers_set_logo(request: ApiRequest, pk: int, body: NewLogo) -> ProviderDocument:
    """Give a service a logo. It is encoded anew, so only its pixels are kept.

    A built-in one stays: an own one takes its place in your organization, with its own id.
    """
    try:
        image = logos.encode(base64.b64decode(body.image, validate=True))
    except binascii.Error as exc:
        raise invalid("image", "This is not base64.") from exc
    except ValueError as exc:
        raise invalid("image", str(exc)) from exc
    entry = entries.own_entry(entry_or_404(request, pk), request.user.organization)
    with storing_entries():
        entries.keep(entry, request.user, logo=image, request=request)
    return document_of(request, entry)


@router.delete("/providers/{int:pk}/logo", auth=writes, operation_id="providers_remove_logo", response={204: None})
def providers_remove_logo(request: ApiRequest, pk: int) -> Status[None]:
    """Remove the logo; where there is none, nothing happens."""
    entry = entry_or_404(request, pk)
    if entry.logo_digest:
        entries.keep(entry, request.user, drops_logo=True, request=request)
    return Status(204, None)
