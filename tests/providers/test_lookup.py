from __future__ import annotations

import pytest
from django.utils import timezone

from organizations.models import AuditEntry, OperationGrant, Organization, User
from organizations.operations import Operation
from protocols.endpoint import Endpoint, Security
from providers import lookup
from providers.models import LoginRule, Provider, ProviderDomain


@pytest.fixture
def google(db) -> Provider:
    provider = Provider.objects.create(key="google", name="Google", imap_host="imap.gmail.com")
    ProviderDomain.objects.create(domain="gmail.com", provider=provider)
    return provider


@pytest.fixture
def other(db) -> Provider:
    return Provider.objects.create(key="other", name="Other", imap_host="imap.other.example")


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("  Anna.Berg@Example.COM ", "Anna.Berg@example.com"),
        ("anna@example.com.", "anna@example.com"),
        ("anna@BÜCHER.example", "anna@bücher.example"),
        ("anna@company.local", "anna@company.local"),
        ("alice@sandbox.test", "alice@sandbox.test"),
        ("anna+tag@example.com", "anna+tag@example.com"),
    ],
)
def test_an_address_is_stored_without_what_does_not_matter(typed: str, stored: str):
    assert lookup.clean_address(typed) == stored


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("", "Type an email address"),
        ("anna", "has an @"),
        ("@example.com", "before the @"),
        ("anna@", "after the @"),
        ("anna@localhost", "no dot"),
        ("an na@example.com", "no spaces"),
        ("anna@@example.com", "typing errors"),
        ("anna@-example-.com", "typing errors"),
        ("a\x00b@example.com", "typing errors"),
        ("a" * 300 + "@example.com", "typing errors"),
    ],
)
def test_what_is_no_address_is_refused_in_a_sentence(typed: str, words: str):
    with pytest.raises(lookup.AddressError, match=words):
        lookup.clean_address(typed)


@pytest.mark.proves("C3")
@pytest.mark.parametrize("address", ["anna@gmail.com", "Anna@GMAIL.com", "anna@gmail.com.", " anna@gmail.com "])
def test_a_domain_is_recognised_in_any_spelling(google, organization, address: str):
    assert lookup.recognise(address, organization) == google


@pytest.mark.proves("C3")
def test_an_international_domain_is_recognised_in_both_forms(other, organization):
    ProviderDomain.objects.create(domain="xn--bcher-kva.example", provider=other)
    assert lookup.recognise("a@Bücher.example", organization) == other
    assert lookup.recognise("a@xn--bcher-kva.example", organization) == other


def test_names_below_a_domain_count_only_where_its_row_says_so(google, other, organization):
    ProviderDomain.objects.create(domain="onmicrosoft.com", provider=other, covers_subdomains=True)
    assert lookup.recognise("a@northwind.onmicrosoft.com", organization) == other
    assert lookup.recognise("a@mail.gmail.com", organization) is None


@pytest.mark.parametrize("address", ["", "anna", "anna@", "anna@exa mple.com", "anna@..", "anna@unknown.example"])
def test_the_unknown_is_not_recognised(google, organization, address: str):
    assert lookup.recognise(address, organization) is None


@pytest.mark.proves("C3")
def test_the_organizations_own_domain_wins_and_concerns_nobody_else(google, other, organization, other_organization):
    ProviderDomain.objects.create(organization=organization, domain="gmail.com", provider=other)
    assert lookup.recognise("a@gmail.com", organization) == other
    assert lookup.recognise("a@gmail.com", other_organization) == google


def test_recognising_takes_one_query(google, organization, django_assert_num_queries):
    with django_assert_num_queries(1):
        lookup.recognise("anna@gmail.com", organization)


@pytest.fixture
def manager(bob) -> User:
    """Bob, with the operation that overrules."""
    OperationGrant.objects.create(operation=Operation.MANAGE_EMAIL_PROVIDERS, user=bob)
    return bob


@pytest.mark.proves("C5")
def test_a_choice_is_learned_for_this_organization_alone(other, alice, organization, other_organization: Organization):
    assert lookup.learn("anna@Northwind.example", other, alice, timezone.now())
    assert lookup.recognise("ben@northwind.example", organization) == other
    assert lookup.recognise("ben@northwind.example", other_organization) is None
    assert lookup.learn("ben@northwind.example", other, alice, timezone.now()) is False


@pytest.mark.proves("C5")
def test_nobody_overrules_a_lesson_or_the_catalog_without_the_operation(google, other, alice, charlie, organization):
    now = timezone.now()
    ProviderDomain.objects.create(domain="hosted.example", provider=google, covers_subdomains=True)
    ProviderDomain.objects.create(organization=organization, domain="fixed.example", provider=google)
    assert lookup.learn("a@northwind.example", google, alice, now)
    for domain in ("northwind.example", "gmail.com", "team.hosted.example", "fixed.example"):
        for person in (alice, charlie):
            assert lookup.learn(f"a@{domain}", other, person, now) is False
            server = Endpoint("mail.attacker.example", 993, Security.TLS)
            assert lookup.learn_servers(f"a@{domain}", person, now, incoming=server, outgoing=server) is None
        assert lookup.recognise(f"b@{domain}", organization) == google
    assert not Provider.objects.filter(imap_host="mail.attacker.example").exists()


@pytest.mark.proves("C5")
def test_with_the_operation_a_lesson_is_corrected_and_the_catalog_overruled_for_ones_own(
    google, other, alice, manager, organization, other_organization
):
    now = timezone.now()
    lookup.learn("a@northwind.example", other, alice, now)
    assert lookup.learn("a@northwind.example", google, manager, now)
    assert lookup.recognise("a@northwind.example", organization) == google
    assert lookup.learn("a@gmail.com", other, manager, now)
    assert lookup.recognise("a@gmail.com", organization) == other
    assert lookup.recognise("a@gmail.com", other_organization) == google


@pytest.mark.proves("C5")
def test_typed_servers_replace_a_lesson_only_with_the_operation(alice, charlie, manager, organization):
    def teach(person: User, host: str) -> Provider | None:
        server = Endpoint(host, 993, Security.TLS)
        return lookup.learn_servers("a@northwind.example", person, timezone.now(), incoming=server, outgoing=None)

    assert teach(alice, "mail.northwind.example")
    assert teach(charlie, "mail.attacker.example") is None
    assert lookup.recognise("b@northwind.example", organization).imap_host == "mail.northwind.example"
    assert teach(manager, "new.northwind.example")
    assert lookup.recognise("b@northwind.example", organization).imap_host == "new.northwind.example"


def test_typed_servers_do_not_revive_what_was_hidden(alice, charlie, organization):
    server = Endpoint("mail.northwind.example", 993, Security.TLS)
    learned = lookup.learn_servers("a@northwind.example", alice, timezone.now(), incoming=server, outgoing=None)
    ProviderDomain.objects.all().delete()
    other = Endpoint("mail.attacker.example", 993, Security.TLS)
    assert lookup.learn_servers("a@northwind.example", charlie, timezone.now(), incoming=other, outgoing=None) is None
    learned.refresh_from_db()
    assert learned.imap_host == "mail.northwind.example"


@pytest.mark.proves("C5")
def test_each_lesson_stands_in_the_audit_log(google, other, alice, manager):
    now = timezone.now()
    lookup.learn("a@northwind.example", other, alice, now)
    lookup.learn("a@northwind.example", google, alice, now)
    lookup.learn("a@northwind.example", google, manager, now)
    entries = AuditEntry.objects.filter(action="provider.learned").order_by("pk")
    told = [
        (entry.actor, entry.detail["domain"], entry.detail["imap_host"], entry.detail["before"]) for entry in entries
    ]
    assert told == [
        (alice, "northwind.example", "imap.other.example", ""),
        (manager, "northwind.example", "imap.gmail.com", "Other"),
    ]


def test_where_the_password_goes_is_told_only_of_what_colleagues_taught(google, other, alice, organization):
    lookup.learn("a@northwind.example", other, alice, timezone.now())
    assert lookup.password_hosts("b@northwind.example", other, organization) == ["imap.other.example"]
    assert lookup.password_hosts("b@gmail.com", google, organization) == []


@pytest.mark.proves("C5")
def test_typed_servers_are_learned_with_their_login_rules(alice, organization, other_organization):
    learned = lookup.learn_servers(
        "anna@northwind.example",
        alice,
        timezone.now(),
        incoming=Endpoint("mail.northwind.example", 143, Security.STARTTLS),
        outgoing=Endpoint("mail.northwind.example", 587, Security.STARTTLS),
        imap_username="anna",
        smtp_username="anna@northwind.example",
    )
    assert learned is not None
    found = lookup.recognise("ben@northwind.example", organization)
    assert found == learned
    assert (found.imap_port, found.imap_login, found.smtp_login) == (143, LoginRule.LOCAL_PART, LoginRule.ADDRESS)
    assert not Provider.objects.visible_to(other_organization).filter(pk=learned.pk).exists()


def test_a_hidden_provider_is_not_recognised(google, organization):
    Provider.objects.update(is_hidden=True)
    assert lookup.recognise("a@gmail.com", organization) is None
    assert lookup.provider_at("imap.gmail.com") is None


@pytest.mark.proves("C5")
def test_domains_that_differ_in_a_dot_and_a_hyphen_keep_their_own_servers(alice, organization):
    def teach(domain: str) -> None:
        server = Endpoint(f"mail.{domain}", 993, Security.TLS)
        lookup.learn_servers(f"a@{domain}", alice, timezone.now(), incoming=server, outgoing=None)

    domains = ["my-firm.example", "my.firm.example", f"{'a' * 60}.{'b' * 60}.example", f"{'a' * 60}.{'b' * 59}.example"]
    for domain in domains:
        teach(domain)
    for domain in domains:
        assert lookup.recognise(f"b@{domain}", organization).imap_host == f"mail.{domain}"
