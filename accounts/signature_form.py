"""What is typed for a signature (spec E9)."""

from __future__ import annotations

from django import forms

from organizations.plain_words import PlainWords


class SignatureForm(PlainWords, forms.Form):
    """What the editor sends: HTML, with new images inside it as data addresses."""

    is_on = forms.BooleanField(
        label="Add signatures to outbound emails",
        required=False,
        help_text="Whoever writes from this mailbox can take it out of a single message.",
    )
    html = forms.CharField(label="Signature", required=False, strip=False, widget=forms.Textarea(attrs={"rows": 10}))
