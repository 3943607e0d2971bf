"""The Signature tab, and what shows a signature elsewhere: its images, and a frame with how it looks (spec E9)."""

from __future__ import annotations

from functools import partial

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import remote_images, signature
from accounts.dialogs import changeable_or_404
from accounts.models import Mailbox, Signature
from accounts.rights import showing_signature_or_404
from accounts.saving import save_signature
from accounts.settings_page import posted, settings_tab
from accounts.signature_form import SignatureForm
from organizations.requests import SignedInRequest

# Styles are what a signature is made of; nothing is fetched, nothing runs, and nobody else may frame it.
PREVIEW_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"
IMAGE_POLICY = "default-src 'none'; sandbox"

_PREVIEW = """<!doctype html><html><head><meta charset="utf-8"><title>Signature</title><style>
html {{ color-scheme: light; }} body {{ margin: 0; padding: 12px; font: 14px/1.5 system-ui, sans-serif; }}
body {{ color: #1c1e21; background: #fff; overflow-wrap: break-word; }} img {{ max-width: 100%; height: auto; }}
p {{ margin: 0; }}
</style></head><body>{body}</body></html>"""


@require_http_methods(["GET", "POST"])
def edit(request: SignedInRequest, pk: int) -> HttpResponse:
    mailbox = changeable_or_404(request, pk)
    stored = Signature.objects.filter(mailbox=mailbox).first() or Signature(mailbox=mailbox)
    shown = signature.for_editing(stored.html, partial(_image_url, pk))
    form = SignatureForm(posted(request), initial={"is_on": stored.is_on, "html": shown})
    if form.is_bound and form.is_valid() and save_signature(form, mailbox, request.user, request):
        messages.success(request, "The signature was saved.")
        return redirect("accounts:settings-signature", pk)
    context = {
        "form": form,
        "largest_image": signature.LARGEST_IMAGE,
        "largest_total": signature.LARGEST_TOTAL,
        "most_images": signature.MOST_IMAGES,
    }
    return settings_tab(request, mailbox, "signature", context, status=422 if form.is_bound else 200)


@require_GET
@cache_control(private=True, max_age=3600, immutable=True)
def image(request: SignedInRequest, pk: int, sha256: str) -> HttpResponse:
    """An image of the signature; its address names its content, so it never changes."""
    return image_file(showing_signature_or_404(request.user, pk), sha256)


def image_file(mailbox: Mailbox, sha256: str) -> HttpResponse:
    """An image of the signature as it is stored, which is all that is ever made of it. Raises Http404."""
    chosen = get_object_or_404(mailbox.signature_images, sha256=sha256)
    headers = {"Content-Security-Policy": IMAGE_POLICY, "X-Content-Type-Options": "nosniff"}
    return HttpResponse(bytes(chosen.content), content_type=chosen.content_type, headers=headers)


@require_POST
def fetch_image(request: SignedInRequest, pk: int) -> HttpResponse:
    """An image on the web that somebody pastes, for the editor to put into the signature; 422 where there is none."""
    changeable_or_404(request, pk)
    try:
        content_type, octets = remote_images.fetch_image(request.POST.get("address", ""), signature.LARGEST_IMAGE)
    except remote_images.CannotFetch as exc:
        return HttpResponse(str(exc), content_type="text/plain; charset=utf-8", status=422)
    headers = {"Content-Security-Policy": IMAGE_POLICY, "X-Content-Type-Options": "nosniff"}
    return HttpResponse(octets, content_type=content_type, headers=headers)


@require_GET
@cache_control(private=True, no_store=True)
def preview(request: SignedInRequest, pk: int) -> HttpResponse:
    """The signature as readers see it, for a frame. A sandboxed frame has no session, so its images come inside."""
    body = signature.for_preview(showing_signature_or_404(request.user, pk))
    if not body:
        raise Http404("There is no signature.")
    headers = {
        "Content-Security-Policy": PREVIEW_POLICY,
        "X-Frame-Options": "SAMEORIGIN",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return HttpResponse(_PREVIEW.format(body=body), content_type="text/html; charset=utf-8", headers=headers)


def _image_url(pk: int, sha256: str) -> str:
    return reverse("accounts:settings-signature-image", args=[pk, sha256])
