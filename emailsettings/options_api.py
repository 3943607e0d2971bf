"""`/options` of the API: what the page of the email options does (spec B3, E10, L1)."""

from __future__ import annotations

from typing import Annotated

from ninja import Router
from pydantic import BaseModel, ConfigDict, Field

from emailsettings.options import MOST_AUTOMATIC, OPTIONS, OptionsForm, allowed_options, change_options
from organizations.calls import ApiRequest, Asked, form_values, invalid_form, needs, without
from organizations.models import Organization
from organizations.scopes import Scope
from providers.models import HiddenProvider, Provider

router = Router(tags=["Organization"])
Minutes = Annotated[int, Field(ge=1, le=1440, description="Minutes between two syncs of a mailbox.")]
PerRecipient = Annotated[
    int, Field(ge=1, le=MOST_AUTOMATIC, description="Automatic mails that one address gets within a day.")
]
PerThread = Annotated[int, Field(ge=1, le=MOST_AUTOMATIC, description="Automatic answers in one conversation a day.")]
TYPED = "People may type mail servers by hand; administrators always may."


class OptionsDocument(BaseModel):
    sync_interval: Minutes
    automatic_per_recipient: PerRecipient
    automatic_per_thread: PerThread
    allows_typed_servers: bool = Field(description=TYPED)
    hidden_providers: list[int] = Field(
        description="Services that people are not offered. `/providers/{id}/hide` and `show` change it."
    )


class OptionsChanges(Asked):
    """What changes; the rest stays. Typed servers need *manage email providers*, all others *manage email accounts*."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"sync_interval": 5}]})

    sync_interval: Minutes = 5
    automatic_per_recipient: PerRecipient = 20
    automatic_per_thread: PerThread = 5
    allows_typed_servers: Annotated[bool, Field(description=TYPED)] = True


@router.get(
    "/options",
    auth=needs(Scope.OPTIONS_READ, *dict.fromkeys(OPTIONS.values())),
    operation_id="options_get",
    response=OptionsDocument,
)
def options_get(request: ApiRequest) -> OptionsDocument:
    """The email options of the organization."""
    return _document(request.user.organization)


@router.patch(
    "/options",
    auth=needs(Scope.OPTIONS_WRITE, *dict.fromkeys(OPTIONS.values())),
    operation_id="options_update",
    response=OptionsDocument,
)
def options_update(request: ApiRequest, body: OptionsChanges) -> OptionsDocument:
    """Change email options of the organization. A shorter interval counts at once."""
    user = request.user
    for name in sorted(body.sent.keys() - allowed_options(user)):
        raise without(OPTIONS[name], what=f"A change of {name}")
    own = Organization.objects.get(pk=user.organization_id)
    form = OptionsForm(form_values(OptionsForm(instance=own, user=user), body.sent), instance=own, user=user)
    if not form.is_valid():
        raise invalid_form(form)
    change_options(form, user, request)
    return _document(own)


def _document(organization: Organization) -> OptionsDocument:
    hidden = HiddenProvider.objects.filter(organization=organization).values("key")
    services = Provider.objects.in_catalog_of(organization).filter(key__in=hidden)
    return OptionsDocument(
        sync_interval=organization.sync_interval,
        automatic_per_recipient=organization.automatic_per_recipient,
        automatic_per_thread=organization.automatic_per_thread,
        allows_typed_servers=organization.allows_typed_servers,
        hidden_providers=sorted(services.values_list("pk", flat=True)),
    )
