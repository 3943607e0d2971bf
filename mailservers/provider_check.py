"""Test a provider with an address: what the wizard would do, and whether its servers answer (spec C2).

Nobody logs in.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

from django import forms
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from mailservers.checking import check_incoming, check_outgoing
from mailservers.streaming import Emit, Part, run_part, stream_lines
from organizations.models import Organization
from organizations.operations import Operation
from organizations.permissions import operation_required
from organizations.plain_words import PlainWords
from organizations.requests import SignedInRequest
from providers import lookup
from providers.models import LoginRule, Provider


class TestAddressForm(PlainWords, forms.Form):
    __test__ = False  # no test, whatever its name says

    address = forms.CharField(
        label="Email address",
        max_length=320,
        widget=forms.TextInput(attrs={"inputmode": "email", "autocomplete": "off", "autocapitalize": "none"}),
        help_text="It need not be yours: no password is asked for, and nobody is logged in.",
        error_messages={
            "required": "Type an address that this provider serves.",
            "max_length": "This is too long for an email address, which has at most 254 characters.",
        },
    )

    def clean_address(self) -> str:
        try:
            return lookup.clean_address(self.cleaned_data["address"])
        except lookup.AddressError as exc:
            raise forms.ValidationError(str(exc)) from exc


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the wizard would do for an address.

    recognition: None where it would ask who provides the mailbox.
    is_this_one: whether the address leads to the provider under test.
    names:       user name per server, None where the person is asked for it.
    """

    provider: Provider
    address: str
    recognition: lookup.Recognition | None

    @property
    def is_this_one(self) -> bool:
        return self.recognition is not None and self.recognition.provider == self.provider

    @property
    def servers(self) -> list[tuple[str, str, str | None]]:
        """(what for, where, user name or None where the person is asked for it)"""
        provider = self.provider
        sides = (
            ("Reading mail", provider.incoming(), provider.imap_login),
            ("Sending mail", provider.outgoing(), provider.smtp_login),
        )
        return [
            (what, f"{endpoint.host}, port {endpoint.port}", self.name_by(rule))
            for what, endpoint, rule in sides
            if endpoint is not None
        ]

    def name_by(self, rule: str) -> str | None:
        """The user name that `rule` makes of the address; None where the person is asked for it."""
        return None if rule == LoginRule.TYPED else self.provider.username_for(self.address, rule)


def forecast(provider: Provider, address: str, organization: Organization) -> Forecast:
    return Forecast(provider, address, lookup.look_up(address, organization))


@require_http_methods(["GET", "POST"])
@operation_required(Operation.MANAGE_EMAIL_PROVIDERS)
def provider_check(request: SignedInRequest, pk: int) -> HttpResponse | StreamingHttpResponse:
    """The dialog, and its live answer: first the forecast, then both servers step by step."""
    organization = request.user.organization
    provider = get_object_or_404(Provider.objects.in_catalog_of(organization), pk=pk)
    form = TestAddressForm(request.POST if request.method == "POST" else None)
    if not form.is_valid():
        return _shown(request, form, provider)
    foreseen = forecast(provider, form.cleaned_data["address"], organization)
    parts = parts_of(provider, organization)

    def work(emit: Emit) -> None:
        emit({"begin": render_to_string("mailservers/_provider_forecast.html", {"forecast": foreseen})})
        for part in parts.values():
            run_part(part, emit, reader=request.user)

    return stream_lines(request, work)


def parts_of(provider: Provider, organization: Organization) -> dict[Literal["reads", "sends"], Part]:
    """Its servers, tried without a login."""
    parts: dict[Literal["reads", "sends"], Part] = {}
    if (incoming := provider.incoming()) is not None:
        check = partial(check_incoming, incoming, None, provider=provider, organization=organization)
        parts["reads"] = Part("Reading mail", lambda observe: check(observe=observe))
    if (outgoing := provider.outgoing()) is not None:
        submit = partial(check_outgoing, outgoing, None, provider=provider, organization=organization)
        parts["sends"] = Part("Sending mail", lambda observe: submit(observe=observe))
    return parts


def _shown(request: SignedInRequest, form: TestAddressForm, provider: Provider) -> HttpResponse:
    fragment = "mailservers/_provider_check.html"
    context = {
        "form": form,
        "provider": provider,
        "title": f"Test {provider.name}",
        "fragment": fragment,
        "back_to": reverse("providers:card", args=[provider.pk]),
        "back_label": provider.name,
    }
    template = fragment if request.htmx else "providers/dialog_page.html"
    return render(request, template, context, status=422 if form.is_bound else 200)
