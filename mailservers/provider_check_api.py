"""`/providers/{id}/check` of the API: test a provider with an address, as its card does (spec C2, L1)."""

from __future__ import annotations

from typing import Annotated

from django.shortcuts import get_object_or_404
from ninja import Router
from pydantic import ConfigDict, Field

from mailservers.api import checking
from mailservers.provider_check import TestAddressForm, forecast, parts_of
from mailservers.resources import BothChecks, both_checks, check_document
from organizations.calls import ApiRequest, Asked, Text, invalid_form
from protocols.steps import ignore
from providers.api import writes
from providers.models import Provider

router = Router(tags=["Providers"])


class CheckedAddress(Asked):
    """Any address that the provider might serve; it need not be yours."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"address": "anna@example.com"}]})

    address: Annotated[Text, Field(min_length=1, max_length=320)]


class ProviderCheck(BothChecks):
    """What the wizard would do for the address, and whether the servers answer; `ok` is false where there are none."""

    address: str
    recognised: int | None = Field(description="The provider that the address leads to; null: none is known.")
    is_this_one: bool = Field(description="Whether that is the one under test.")
    is_hidden: bool = Field(description="Your organization does not offer the one that was recognised.")
    imap_username: str | None = Field(description="Null: the person is asked for it, or there is no IMAP server.")
    smtp_username: str | None = Field(description="Null: the person is asked for it, or there is no SMTP server.")


@router.post("/providers/{int:pk}/check", auth=writes, operation_id="providers_check", response=ProviderCheck)
def providers_check(request: ApiRequest, pk: int, body: CheckedAddress) -> ProviderCheck:
    """Test a service with an address: whom the wizard recognises, and whether the servers answer. Nobody logs in."""
    organization = request.user.organization
    provider = get_object_or_404(Provider.objects.in_catalog_of(organization), pk=pk)
    form = TestAddressForm(body.sent)
    if not form.is_valid():
        raise invalid_form(form)
    foreseen = forecast(provider, form.cleaned_data["address"], organization)
    with checking(request):
        reports = {side: part.check(ignore) for side, part in parts_of(provider, organization).items()}
    found = {side: check_document(report, request.user) for side, report in reports.items()}
    recognition = foreseen.recognition
    check = both_checks(found.get("reads"), found.get("sends"))
    return ProviderCheck(
        **{**dict(check), "ok": check.ok and bool(found)},
        address=foreseen.address,
        recognised=recognition.provider.pk if recognition else None,
        is_this_one=foreseen.is_this_one,
        is_hidden=recognition is not None and recognition.is_hidden,
        imap_username=foreseen.name_by(provider.imap_login) if provider.imap_host else None,
        smtp_username=foreseen.name_by(provider.smtp_login) if provider.smtp_host else None,
    )
