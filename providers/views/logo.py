"""The logo of an own entry: always an image that we made, whatever was uploaded (spec C2)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from organizations.requests import SignedInRequest
from providers import logos
from providers.models import Provider, ProviderLogo

A_YEAR = 31_536_000  # seconds; another image has another address
HEADERS = {
    "Content-Type": logos.CONTENT_TYPE,
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Content-Disposition": 'inline; filename="logo.png"',
    "Cache-Control": f"private, max-age={A_YEAR}, immutable",
}


@require_safe
def logo(request: SignedInRequest, pk: int) -> HttpResponse:
    """For everybody of the organization: the wizard shows it too."""
    return logo_file(request, pk)


def logo_file(request: SignedInRequest, pk: int) -> HttpResponse:
    """The PNG of an own entry; 304 for who has it. Raises Http404."""
    entry = get_object_or_404(Provider, organization=request.user.organization, pk=pk)
    row = get_object_or_404(ProviderLogo, provider=entry)
    etag = f'"{entry.logo_digest}"'
    if _has(request, etag):
        return HttpResponseNotModified(headers={"ETag": etag, "Cache-Control": HEADERS["Cache-Control"]})
    return HttpResponse(bytes(row.image), headers={**HEADERS, "ETag": etag})


def _has(request: HttpRequest, etag: str) -> bool:
    return etag in request.headers.get("If-None-Match", "")
