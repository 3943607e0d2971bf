"""Email providers domains: the list, the look-up, and rows that are added, changed and removed (spec C3, C5)."""

from __future__ import annotations

import pytest
from django.utils import timezone

from organizations.models import AuditEntry
from providers import entries, lookup
from providers.catalog import load_catalog
from providers.models import ProviderDomain
from providers.templatetags.domains import domain_name
from tests.providers.conftest import HTMX, url, words


def domains_on(answer) -> list[str]:
    return [row.domain for row in answer.context["page"].rows]


@pytest.fixture
def own_row(organization, hey) -> ProviderDomain:
    return ProviderDomain.objects.create(organization=organization, domain="northwind.example", provider=hey)


@pytest.mark.proves("C3")
def test_all_domains_come_in_pages_without_a_gap(ada, db):
    load_catalog()
    found, address = [], url("domains")
    while address:
        answer = ada.get(address, headers=HTMX if found else {})
        found += domains_on(answer)
        address = answer.context["older"] if answer.context["page"].next else ""
    assert len(found) == len(set(found)) == ProviderDomain.objects.count() > 1200


def test_a_domain_is_shown_as_people_write_it_with_its_ascii_form_beside_it(ada, organization, hey):
    row = ProviderDomain.objects.create(organization=organization, domain="xn--bcher-kva.example", provider=hey)
    both = 'bücher.example <span class="muted small">xn--bcher-kva.example</span>'
    page = ada.get(url("domains")).content.decode()
    assert both in page
    assert 'aria-label="Edit bücher.example (xn--bcher-kva.example)"' in page
    assert both in ada.get(url("domain-delete", row.pk)).content.decode()
    assert both in ada.get(url("card", hey.pk)).content.decode()
    asked = ada.get(url("look-up"), {"address": "anna@bücher.example"}, headers=HTMX).content.decode()
    assert "bücher.example (xn--bcher-kva.example) is served by" in asked
    assert domain_name("xn--a") == "xn--a", "what is none is shown as it is"
    assert domain_name("gmail.com") == "gmail.com"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["gmail.com", "googlemail.com", "hey.com", "northwind.example", "xn--bcher-kva.example"]),
        ("?q=HEY", ["hey.com", "northwind.example"]),
        ("?q=anna@gmail.com", ["gmail.com"]),
        ("?q=Bücher", ["xn--bcher-kva.example"]),
        ("?q=bücher.example", ["xn--bcher-kva.example"]),
        ("?q=google", ["gmail.com", "googlemail.com"]),
        ("?origin=built_in", ["gmail.com", "googlemail.com", "hey.com"]),
        ("?origin=learned", ["xn--bcher-kva.example"]),
        ("?origin=own", ["northwind.example"]),
        (
            "?origin=x&after=%00",
            ["gmail.com", "googlemail.com", "hey.com", "northwind.example", "xn--bcher-kva.example"],
        ),
        ("?after=hey.com", ["northwind.example", "xn--bcher-kva.example"]),
    ],
)
def test_the_list_is_searched_and_filtered(ada, google, own_row, organization, bob, query: str, found: list[str]):
    lookup.learn("bob@bücher.example", google, bob, timezone.now())
    lookup_names = domains_on(ada.get(url("domains") + query))
    if query == "?q=google":  # the learned one is Google's too
        found = [*found, "xn--bcher-kva.example"]
    assert lookup_names == found


@pytest.mark.proves("C5")
def test_a_learned_row_says_who_taught_it(ada, google, bob):
    lookup.learn("bob@northwind.example", google, bob, timezone.now())
    assert "northwind.example Google (Gmail) Learned from Bob, just now" in words(ada.get(url("domains")))


def test_a_row_leads_to_the_own_entry_and_says_that_it_is_hidden(ada, google, override, administrator):
    own = override(google, name="Our Google")
    entries.hide(own, administrator)
    text = ada.get(f"{url('domains')}?q=our+google").content.decode()
    assert url("card", own.pk) in text
    assert "Hidden" in text


def test_a_longer_list_asks_no_more_queries(ada, google, organization, bob, assert_queries):
    def grow() -> None:
        for number in range(12):
            lookup.learn(f"bob@domain-{number}.example", google, bob, timezone.now())

    assert_queries.constant(lambda: ada.get(url("domains")), grow)


@pytest.mark.proves("C3")
@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("Northwind.EXAMPLE.", "northwind.example"),
        ("@northwind.example", "northwind.example"),
        ("anna@northwind.example", "northwind.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("пример.рф", "xn--e1afmkfd.xn--p1ai"),
    ],
)
def test_a_domain_is_added_in_any_spelling(ada, google, organization, typed: str, stored: str):
    form = {"domain": typed, "provider": google.pk, "covers_subdomains": "on"}
    for _ in range(2):  # the second press changes nothing
        answer = ada.post(url("domain-add"), form, headers=HTMX)
        assert answer.status_code == 204
        assert "domains:changed" in answer["HX-Trigger"]
    row = ProviderDomain.objects.get(organization=organization)
    assert (row.domain, row.covers_subdomains, row.learned_at) == (stored, True, None)
    assert lookup.recognise(f"a@mail.{typed.rpartition('@')[2]}", organization) == google


@pytest.mark.parametrize(
    ("change", "field", "why"),
    [
        ({"domain": ""}, "domain", "Type the domain"),
        ({"domain": "localhost"}, "domain", "looks like example.com"),
        ({"domain": "127.0.0.1"}, "domain", "looks like example.com"),
        ({"domain": "https://northwind.example/"}, "domain", "without slashes"),
        ({"domain": "northwind.example:25"}, "domain", "without slashes"),
        ({"domain": "*.northwind.example"}, "domain", "without *"),
        ({"domain": "a b.example"}, "domain", "not a domain"),
        ({"domain": "a\r\nb.example"}, "domain", "not a domain"),
        ({"domain": "a\x00.example"}, "domain", "invisible character"),
        ({"domain": "anna@"}, "domain", "after the @ is missing"),
        ({"domain": f"{'x' * 64}.example"}, "domain", "not a domain"),
        ({"domain": "x" * 400}, "domain", "320"),
        ({"provider": ""}, "provider", "Choose the provider"),
        ({"provider": "999999"}, "provider", "not in the list any more"),
        ({"provider": "x"}, "provider", "not in the list any more"),
    ],
    ids=repr,
)
def test_a_wrong_value_is_named_and_nothing_is_stored(ada, google, organization, change, field, why):
    answer = ada.post(url("domain-add"), {"domain": "northwind.example", "provider": google.pk} | change, headers=HTMX)
    assert answer.status_code == 422
    errors = answer.context["form"].errors
    assert list(errors) == [field]
    assert why in " ".join(errors[field])
    assert not ProviderDomain.objects.filter(organization=organization).exists()


def test_an_entry_of_another_organization_is_not_offered(ada, google, make_own, other_organization, organization):
    theirs = make_own("Theirs", organization=other_organization)
    answer = ada.post(url("domain-add"), {"domain": "a.example", "provider": theirs.pk}, headers=HTMX)
    assert list(answer.context["form"].errors) == ["provider"]


@pytest.mark.proves("C3")
def test_one_provider_per_domain(ada, google, own_row):
    answer = ada.post(url("domain-add"), {"domain": "northwind.example", "provider": google.pk}, headers=HTMX)
    assert answer.status_code == 422
    assert answer.context["form"].errors["domain"] == [
        "northwind.example is served by HEY already. Edit that row, or remove it."
    ]
    own_row.refresh_from_db()
    assert own_row.provider.key == "hey"


def test_a_built_in_domain_is_given_to_another_provider_and_back(ada, google, hey, organization, other_organization):
    assert 'value="gmail.com"' in ada.get(f"{url('domain-add')}?domain=gmail.com&provider=%00x").content.decode()
    ada.post(url("domain-add"), {"domain": "gmail.com", "provider": hey.pk})
    assert lookup.recognise("a@gmail.com", organization) == hey
    assert lookup.recognise("a@gmail.com", other_organization) == google
    assert domains_on(ada.get(f"{url('domains')}?q=gmail.com")) == ["gmail.com"]
    row = ProviderDomain.objects.get(organization=organization)
    assert "the built-in row counts again: Google (Gmail)" in words(ada.get(url("domain-delete", row.pk), headers=HTMX))
    assert ada.post(url("domain-delete", row.pk), headers=HTMX).status_code == 204
    assert ada.post(url("domain-delete", row.pk), headers=HTMX).status_code == 404
    assert lookup.recognise("a@gmail.com", organization) == google


def test_the_built_in_rows_cannot_be_changed_or_removed(ada, google, dana, client_of):
    row = ProviderDomain.objects.get(domain="gmail.com")
    for browser in (ada, client_of(dana)):
        for name in ("domain-edit", "domain-delete"):
            assert browser.post(url(name, row.pk), {"domain": "x.example", "provider": google.pk}).status_code == 404


@pytest.mark.proves("C5")
def test_a_learned_row_that_is_edited_is_set_by_hand(ada, google, hey, bob, organization):
    lookup.learn("bob@northwind.example", google, bob, timezone.now())
    row = ProviderDomain.objects.get(organization=organization)
    assert "learned from Bob" in words(ada.get(url("domain-edit", row.pk), headers=HTMX))
    ada.post(url("domain-edit", row.pk), {"domain": "northwind.example", "provider": hey.pk}, headers=HTMX)
    row.refresh_from_db()
    assert (row.provider, row.learned_at, row.taught_by) == (hey, None, None)
    actions = AuditEntry.objects.order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["provider.learned", "provider_domain.changed"]
    assert AuditEntry.objects.last().detail["before"]["provider"] == "Google (Gmail)"


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("anna@gmail.com", "gmail.com is served by Google (Gmail). Built in, by the row gmail.com."),
        ("GMAIL.com", "gmail.com is served by Google (Gmail). Built in"),
        ("a@mail.northwind.example", "mail.northwind.example is served by HEY. Set by hand here, by the row northwind"),
        ("a@unknown.example", "unknown.example is not known."),
        ("", "Type an address or a domain."),
        ("localhost", "This is no address"),
        ("a b", "This is no address"),
        ("\x00", "invisible character"),
        ("x" * 400, "too long for an address"),
    ],
    ids=repr,
)
def test_which_provider_serves_an_address(ada, google, own_row, asked: str, answer: str):
    ProviderDomain.objects.filter(pk=own_row.pk).update(covers_subdomains=True)
    shown = ada.get(url("look-up"), {"address": asked}, headers=HTMX)
    assert shown.status_code == 200
    assert answer in words(shown)
    page = ada.get(url("look-up"), {"address": asked}, follow=True)  # without scripts
    assert answer in words(page)
