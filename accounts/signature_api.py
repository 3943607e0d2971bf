"""`/mailboxes/{id}/signature` of the API: what stands below its mail, as on the Signature tab (spec E9, L1)."""

from __future__ import annotations

from typing import Annotated, Final

from django.http import HttpResponse
from django.utils import timezone
from ninja import Path, Router
from pydantic import BaseModel, ConfigDict, Field

from accounts.api import changeable_or_404, reads, writes
from accounts.models import Mailbox, Signature
from accounts.rights import showing_signature_or_404
from accounts.saving import save_signature
from accounts.settings_audit import note_reading
from accounts.signature import LARGEST_IMAGE, LARGEST_TOTAL
from accounts.signature_form import SignatureForm
from accounts.signature_page import image_file
from organizations.calls import ApiRequest, Asked, Text, invalid_form, octets
from protocols.message.plaintext import html_to_text

router = Router(tags=["Mailboxes"])

LONGEST_HTML: Final = 7 * 1024 * 1024  # characters: the images, in base64, are inside
Sha256 = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="As `images` names it.")]


class SignatureImageDocument(BaseModel):
    """An image that the signature shows."""

    sha256: str = Field(description="Of its octets; `html` names it as `cid:` and this.")
    content_type: str
    size: int = Field(description="Octets.")


class SignatureDocument(BaseModel):
    """What stands below mail from the mailbox."""

    is_on: bool = Field(description="Whether mail gets it, unless its writer takes it out.")
    html: str = Field(description="Cleaned. Images are named `cid:` and their SHA-256.")
    text: str = Field(description="The same for mail without HTML.")
    images: list[SignatureImageDocument]


class NewSignature(Asked):
    """The whole signature. Images that `html` does not name any more are let go."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"is_on": True, "html": "<p>Anna Berg<br><b>Example Ltd</b></p>"}]}
    )

    is_on: bool
    html: Annotated[Text, Field(max_length=LONGEST_HTML)] = Field(
        description="New images stand in it as `data:image/png;base64,...`, kept ones as `cid:` and their SHA-256; "
        f"each up to {LARGEST_IMAGE // 2**20} MB, {LARGEST_TOTAL // 2**20} MB together."
    )


@router.get("/mailboxes/{int:pk}/signature", auth=reads, operation_id="mailboxes_signature", response=SignatureDocument)
def mailboxes_signature(request: ApiRequest, pk: int) -> SignatureDocument:
    """The signature, for those who send from the mailbox or may change its settings."""
    mailbox = showing_signature_or_404(request.user, pk)
    if Mailbox.objects.manageable_by(request.user, timezone.now()).filter(pk=pk).exists():
        note_reading(request, mailbox, request.user)
    return _document(mailbox)


@router.put(
    "/mailboxes/{int:pk}/signature", auth=writes, operation_id="mailboxes_set_signature", response=SignatureDocument
)
def mailboxes_set_signature(request: ApiRequest, pk: int, body: NewSignature) -> SignatureDocument:
    """Replace the signature. What comes back was kept: nothing that runs, or is fetched from elsewhere, is left."""
    mailbox = changeable_or_404(request, pk)
    form = SignatureForm(body.sent)
    if not form.is_valid() or not save_signature(form, mailbox, request.user, request):
        raise invalid_form(form)
    return _document(mailbox)


@router.get(
    "/mailboxes/{int:pk}/signature/images/{sha256}",
    auth=reads,
    operation_id="mailboxes_signature_image",
    openapi_extra=octets("image/*"),
)
def mailboxes_signature_image(request: ApiRequest, pk: int, sha256: Sha256) -> HttpResponse:
    """An image of the signature."""
    return image_file(showing_signature_or_404(request.user, pk), sha256)


def _document(mailbox: Mailbox) -> SignatureDocument:
    stored = Signature.objects.filter(mailbox=mailbox).first() or Signature(mailbox=mailbox)
    images = mailbox.signature_images.order_by("pk").only("sha256", "content_type", "size")
    return SignatureDocument(
        is_on=stored.is_on,
        html=stored.html,
        text=html_to_text(stored.html),
        images=[
            SignatureImageDocument(sha256=image.sha256, content_type=image.content_type, size=image.size)
            for image in images
        ],
    )
