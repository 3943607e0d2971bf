"""The Signature tab, and what shows a signature elsewhere: its images, and a frame with how it looks (spec E9)."""

from __future__ import annotations

from functools import partial

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import remote_images, signature
from accounts.dialogs import changeable_or_404
from accounts.models import Mailbox, Signature
from accounts.rights import Right
from accounts.settings_page import posted, settings_tab
from organizations import audit
from organizations.models import User
from organizations.plain_words import PlainWords
from organizations.requests import SignedInRequest

# Styles are what a signature is made of; nothing is fetched, nothing runs, and nobody else may frame it.
PREVIEW_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"
IMAGE_POLICY = "default-src 'none'; sandbox"

_PREVIEW = """<!doctype html><html><head><meta charset="utf-8"><title>Signature</title><style>
html {{ color-scheme: light; }} body {{ margin: 0; padding: 12px; font: 14px/1.5 system-ui, sans-serif; }}
body {{ color: #1c1e21; background: #fff; overflow-wrap: break-word; }} img {{ max-width: 100%; height: auto; }}
p {{ margin: 0; }}
</style></head><body>{body}</body></html>"""


class SignatureForm(PlainWords, forms.Form):
    """What the editor sends: HTML, with new images inside it as data addresses."""

    is_on = forms.BooleanField(
        label="Add signatures to outbound emails",
        required=False,
        help_text="Whoever writes from this mailbox can take it out of a single message.",
    )
    html = forms.CharField(label="Signature", required=False, strip=False, widget=forms.Textarea(attrs={"rows": 10}))


@require_http_methods(["GET", "POST"])
def edit(request: SignedInRequest, pk: int) -> HttpResponse:
    mailbox = changeable_or_404(request, pk)
    stored = Signature.objects.filter(mailbox=mailbox).first() or Signature(mailbox=mailbox)
    shown = signature.for_editing(stored.html, partial(_image_url, pk))
    form = SignatureForm(posted(request), initial={"is_on": stored.is_on, "html": shown})
    if form.is_bound and form.is_valid():
        try:
            signature.save(mailbox, form.cleaned_data["html"], is_on=form.cleaned_data["is_on"])
        except signature.SignatureRefused as exc:
            form.add_error("html", str(exc))
        else:
            _record(request, mailbox)
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
    mailbox = _showable_or_404(request.user, pk)
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
    body = signature.for_preview(_showable_or_404(request.user, pk))
    if not body:
        raise Http404("There is no signature.")
    headers = {
        "Content-Security-Policy": PREVIEW_POLICY,
        "X-Frame-Options": "SAMEORIGIN",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return HttpResponse(_PREVIEW.format(body=body), content_type="text/html; charset=utf-8", headers=headers)


def _showable_or_404(user: User, pk: int) -> Mailbox:
    """A mailbox whose signature `user` may see: by sending from it, or by changing its settings."""
    now = timezone.now()
    senders, setters = Mailbox.objects.allowing(Right.SEND, user, now), Mailbox.objects.manageable_by(user, now)
    mailbox = senders.filter(pk=pk).first() or setters.filter(pk=pk).first()
    if mailbox is None:
        raise Http404("There is no such mailbox.")
    return mailbox


def _image_url(pk: int, sha256: str) -> str:
    return reverse("accounts:settings-signature-image", args=[pk, sha256])


def _record(request: SignedInRequest, mailbox: Mailbox) -> None:
    audit.record(
        "mailbox.signature_changed",
        organization=request.user.organization,
        actor=request.user,
        target=mailbox,
        request=request,
    )
