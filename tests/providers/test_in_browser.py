"""The catalog in a real browser: override a provider with a logo, test it, give it back; in light, dark and narrow."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect

from organizations.models import User
from providers import lookup
from providers.models import Provider, ProviderDomain
from tests.accounts.conftest import reach_loopback, running_sandbox, sandbox  # noqa: F401  fixtures
from tests.mailservers.conftest import rules  # noqa: F401  a fixture
from tests.providers.conftest import picture, url

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def signed_in(context: BrowserContext, live_server, client_of: Callable, administrator: User) -> User:
    cookie = client_of(administrator).cookies["sessionid"]
    context.add_cookies([{"name": "sessionid", "value": cookie.value, "url": live_server.url}])
    return administrator


def fits(page: Page) -> None:
    """Nothing stands out to the side on a phone."""
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1280, "height": 860})


@pytest.mark.proves("C2", "B3")
def test_a_provider_is_overridden_tested_hidden_and_given_back(
    page: Page,
    live_server,
    signed_in,
    sandbox,  # noqa: F811
    google,
    hey,
    assert_accessible,
):
    page.goto(live_server.url + reverse("providers:list"))
    fits(page)
    assert_accessible(page)
    page.get_by_role("searchbox", name="Search").fill("alice@sandbox.test")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("link", name="Sandbox").click()
    page.get_by_role("link", name="Override for your organization").click()

    page.get_by_label("Hint", exact=True).fill("Ask the desk for the password.")
    expect(page.locator("#hint-preview")).to_contain_text("Ask the desk for the password.")
    page.get_by_label("Port").first.fill("0")
    page.get_by_label("Logo", exact=True).set_input_files(
        {"name": "l.png", "mimeType": "image/png", "buffer": picture()}
    )
    assert_accessible(page)
    fits(page)
    page.get_by_role("button", name="Override").click()
    expect(page.get_by_text("Type a whole number from 1 to 65535")).to_be_visible()
    page.get_by_label("Port").first.fill(str(sandbox.imap_port))
    page.get_by_role("button", name="Override").click()  # the logo is still there

    own = Provider.objects.get(organization=signed_in.organization)
    expect(page.get_by_text("Sandbox was saved.")).to_be_visible()
    assert own.logo_digest
    expect(page.locator("img.logo").first).to_have_js_property("naturalWidth", 128)
    expect(page.get_by_text("1 line differs")).to_be_visible()
    fits(page)
    assert_accessible(page)

    page.get_by_role("button", name="Test with an address").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Email address").fill("alice@sandbox.test")
    dialog.get_by_role("button", name="Test", exact=True).click()
    expect(dialog.get_by_text("It recognises Sandbox.")).to_be_visible()
    expect(dialog.get_by_text("The connection works.")).to_have_count(2)
    expect(page.get_by_text("Sandbox was saved.")).to_have_count(0)  # the toast lies over the dialog's foot
    assert_accessible(page)
    dialog.get_by_role("button", name="Close").last.click()

    page.get_by_role("button", name="Hide").click()
    expect(page.get_by_text("Your people are not offered this provider.")).to_be_visible()
    page.get_by_role("button", name="Show").click()
    page.get_by_role("button", name="Back to the built-in entry").click()
    dialog.get_by_role("button", name="Back to the built-in entry").click()
    expect(page.get_by_text("is as it was built in again")).to_be_visible()
    assert not Provider.objects.filter(organization=signed_in.organization).exists()


@pytest.mark.proves("C3")
def test_a_domain_is_looked_up_and_given_a_provider(page: Page, live_server, signed_in, google, assert_accessible):
    page.goto(live_server.url + url("domains"))
    page.get_by_label("Which provider serves this address?").fill("anna@bücher.example")
    page.get_by_role("button", name="Look up").click()
    expect(page.get_by_text("bücher.example (xn--bcher-kva.example) is not known.")).to_be_visible()
    page.get_by_role("button", name="Add it").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Provider").select_option(label="Google (Gmail)")
    assert_accessible(page)
    dialog.get_by_role("button", name="Add domain").click()
    expect(page.locator("#domains").get_by_text("xn--bcher-kva.example")).to_be_visible()
    fits(page)
    assert_accessible(page)
    assert lookup.recognise("anna@bücher.example", signed_in.organization) == google
    page.get_by_role("button", name="Remove bücher.example (xn--bcher-kva.example)").click()
    dialog.get_by_role("button", name="Remove domain").click()
    expect(page.locator("#domains").get_by_text("xn--bcher-kva.example")).to_have_count(0)
    assert not ProviderDomain.objects.filter(organization=signed_in.organization).exists()


def test_the_options_page(page: Page, live_server, signed_in, assert_accessible):
    page.goto(live_server.url + reverse("email-settings"))
    page.get_by_role("link", name="Options").click()
    page.get_by_label("Sync every (minutes)").fill("15")
    page.get_by_label("People may type servers by hand").uncheck()
    fits(page)
    assert_accessible(page)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The options are saved.")).to_be_visible()
    signed_in.organization.refresh_from_db()
    assert (signed_in.organization.sync_interval, signed_in.organization.allows_typed_servers) == (15, False)
