"""Own entries, overrides of built-in ones, and what is hidden: in the wizard, in lists, for addresses (spec C2, B3)."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.utils import timezone

from accounts.forms import ProviderChoiceForm
from mailservers.forms import MailServerForm
from mailservers.models import MailServer
from organizations.models import AuditEntry, User
from protocols.endpoint import Endpoint, Security
from providers import entries, lookup
from providers.catalog import FOLDER, load_catalog
from providers.models import HiddenProvider, Provider, ProviderDomain

OWN_HOST = "imap.proxy.example"


def offered_in_wizard(user: User) -> list[Provider]:
    return list(ProviderChoiceForm(user=user).fields["provider"].queryset)


def offered_as_service(user: User) -> list[Provider]:
    return list(MailServerForm(organization=user.organization).fields["provider"].queryset)


@pytest.mark.proves("C2", "B3")
def test_an_override_wins_everywhere_in_its_organization_and_nowhere_else(
    google, override, administrator, organization, other_organization, dana
):
    own = override(google, imap_host=OWN_HOST, smtp_host="smtp.proxy.example")
    assert lookup.recognise("anna@gmail.com", organization) == own
    assert lookup.provider_at(OWN_HOST, organization) == own
    assert offered_in_wizard(administrator) == offered_as_service(administrator) == [own]
    assert lookup.recognise("anna@gmail.com", other_organization) == google
    assert lookup.provider_at(OWN_HOST, other_organization) is None
    assert offered_in_wizard(dana) == offered_as_service(dana) == [google]


def test_recognising_what_is_overridden_takes_one_query_more(google, override, organization, assert_queries):
    override(google)
    with assert_queries(2):
        lookup.recognise("anna@gmail.com", organization)


def test_who_named_the_built_in_entry_names_the_own_one_and_back(
    google, override, administrator, make_mailbox, organization, other_organization, dana
):
    mine = make_mailbox("anna@gmail.com", administrator, provider=google)
    theirs = make_mailbox("dana@gmail.com", dana, provider=google)
    server = MailServer.objects.create(organization=organization, name="Google", host="smtp.gmail.com", provider=google)
    row = ProviderDomain.objects.create(organization=organization, domain="northwind.example", provider=google)
    own = override(google, imap_host=OWN_HOST)
    for each in (mine, server, row):
        each.refresh_from_db()
        assert each.provider == own
    theirs.refresh_from_db()
    assert theirs.provider == google
    entries.restore(own, google, administrator)
    for each in (mine, server, row, theirs):
        each.refresh_from_db()
        assert each.provider == google
    assert mine.imap_host == "imap.example.org"  # nothing that works is touched
    assert lookup.recognise("anna@gmail.com", organization) == google


def test_an_override_leaves_the_built_in_row_as_it_was(google, override):
    before = {field.name: getattr(google, field.name) for field in Provider._meta.fields}
    override(google, imap_host=OWN_HOST, hint="Ask the desk.", limits={"per_day": 1})
    google.refresh_from_db()
    assert {field.name: getattr(google, field.name) for field in Provider._meta.fields} == before


@pytest.mark.proves("C2")
def test_loading_the_catalog_anew_changes_no_own_row(db, administrator, organization, tmp_path: Path):
    load_catalog(FOLDER)
    google = Provider.objects.get(key="google", organization=None)
    own = entries.own_copy(google, organization)
    own.imap_host = OWN_HOST
    entries.keep(own, administrator)
    entries.hide(own, administrator)
    ProviderDomain.objects.create(organization=organization, domain="hotmail.com", provider=own)
    (tmp_path / "a.yaml").write_text("- {key: google, name: New, imap: {host: new.example}, domains: [hotmail.com]}\n")
    assert load_catalog(tmp_path)
    own.refresh_from_db()
    google.refresh_from_db()
    assert (own.imap_host, own.name, google.imap_host) == (OWN_HOST, "Google (Gmail)", "new.example")
    found = lookup.look_up("a@hotmail.com", organization)
    assert found is not None
    assert (found.provider, found.is_hidden) == (own, True)


@pytest.mark.proves("B3")
def test_what_is_hidden_is_offered_nowhere_here_and_everywhere_else(
    google, administrator, organization, other_organization, dana
):
    assert entries.hide(google, administrator)
    assert not entries.hide(google, administrator)
    assert offered_in_wizard(administrator) == offered_as_service(administrator) == []
    assert lookup.recognise("anna@gmail.com", organization) is None
    assert lookup.recognise("dana@gmail.com", other_organization) == google
    assert offered_in_wizard(dana) == [google]
    assert entries.show(google, administrator)
    assert not entries.show(google, administrator)
    assert lookup.recognise("anna@gmail.com", organization) == google


def test_hiding_outlives_an_override_and_its_end(google, override, administrator, organization):
    entries.hide(google, administrator)
    own = override(google)
    assert lookup.look_up("anna@gmail.com", organization).is_hidden
    entries.restore(own, google, administrator)
    assert lookup.look_up("anna@gmail.com", organization).is_hidden


def test_a_server_that_names_a_hidden_service_can_still_be_edited(google, administrator, organization):
    server = MailServer.objects.create(organization=organization, name="G", host="smtp.gmail.com", provider=google)
    entries.hide(google, administrator)
    form = MailServerForm(instance=server, organization=organization)
    assert google in form.fields["provider"].queryset


@pytest.mark.proves("C5")
def test_nobody_teaches_a_way_around_what_is_hidden(google, administrator, alice, bob, organization):
    entries.hide(google, administrator)
    server = Endpoint("imap.gmail.com", 993, Security.TLS)
    assert lookup.learn_servers("alice@gmail.com", alice, timezone.now(), incoming=server, outgoing=None) is None
    other = Provider.objects.create(key="other", name="Other", imap_host="imap.other.example")
    assert not lookup.learn("alice@gmail.com", other, alice, timezone.now())
    assert not ProviderDomain.objects.filter(organization=organization).exists()


def test_deleting_an_own_entry_takes_its_domains_and_no_mailbox(make_own, administrator, make_mailbox, organization):
    own = make_own("Northwind", "northwind.example")
    mailbox = make_mailbox("anna@northwind.example", administrator, provider=own)
    entries.hide(own, administrator)
    entries.delete(own, administrator)
    mailbox.refresh_from_db()
    assert mailbox.provider is None
    assert mailbox.imap_host == "imap.example.org"
    assert lookup.look_up("b@northwind.example", organization) is None
    assert not HiddenProvider.objects.exists()


def test_two_first_overrides_at_once_make_one(google, administrator, organization):
    first, second = (entries.own_copy(google, organization) for _ in range(2))
    entries.keep(first, administrator)
    with pytest.raises(entries.TakenMeanwhile):
        entries.keep(second, administrator)
    assert Provider.objects.filter(organization=organization).count() == 1


@pytest.mark.proves("A8")
def test_what_was_changed_stands_in_the_audit_log(google, override, administrator):
    own = override(google, imap_host=OWN_HOST)
    entries.hide(own, administrator)
    entries.show(own, administrator)
    entries.restore(own, google, administrator)
    actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
    assert actions == ["provider.overridden", "provider.hidden", "provider.shown", "provider.restored"]
    detail = AuditEntry.objects.get(action="provider.overridden").detail
    assert detail == {"before": {"imap_host": "imap.gmail.com"}, "after": {"imap_host": OWN_HOST}}
