from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from organizations.models import Organization
from protocols.network import MAIL_PORTS
from providers.catalog import load_catalog, read_catalog
from providers.catalog_files import CatalogError
from providers.lookup import recognise
from providers.models import Authentication, Provider, ProviderDomain, Status

GOOD = "- key: one\n  name: One\n  imap: {host: imap.one.example}\n  domains: [one.example]\n"


def write(folder: Path, text: str) -> Path:
    (folder / "some.yaml").write_text(text)
    return folder


@pytest.mark.proves("C1", "C3")
def test_the_catalog_is_valid_and_as_large_as_promised():
    providers = read_catalog()
    domains = [domain for provider in providers for domain in provider.domains]
    assert len(providers) >= 190
    assert len(domains) == len(set(domains)) >= 1200


def test_every_host_name_and_port_of_the_catalog_may_be_dialed():
    for provider in read_catalog():
        for protocol in ("imap", "smtp"):
            assert provider.values[f"{protocol}_port"] in MAIL_PORTS
            assert "localhost" not in str(provider.values[f"{protocol}_host"])


def test_no_provider_asks_for_an_app_password_without_saying_how():
    for provider in read_catalog():
        if provider.values["authentication"] == Authentication.APP_PASSWORD:
            assert provider.values["hint"], provider.key


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("just: a mapping", ["some.yaml", "list of entries"]),
        ("- key: [", ["some.yaml", "not YAML"]),
        ("- 7", ["entry 1", "mapping"]),
        ("- key: Upper Case\n  name: X", ["entry 1 (Upper Case)", "lower-case"]),
        (GOOD.replace("name", "nmae"), ["nmae", "known are"]),
        (GOOD.replace("imap.one.example", "imap one"), ["imap: host", "spaces"]),
        (GOOD.replace("{host: imap.one.example}", "{host: imap.one.example, port: 22}"), ["port must be one of"]),
        (GOOD.replace("{host: imap.one.example}", "{host: a.example, security: ssl}"), ["'ssl'", "starttls"]),
        (GOOD.replace("[one.example]", "[nodot]"), ["nodot", "no dot"]),
        (GOOD.replace("[one.example]", "[a.example, A.example]"), ["a.example", "twice"]),
        (GOOD + GOOD, ["entry 2 (one)", "stands already in some.yaml, entry 1"]),
        (GOOD + GOOD.replace("key: one", "key: two"), ["one.example", "stands already"]),
        ("- key: one\n  name: One", ["needs imap or smtp"]),
        ("- key: one\n  name: One\n  status: not_possible", ["hint"]),
        (GOOD + "  limits: {per_day: many}", ["whole numbers"]),
        (GOOD + "  instructions_url: http://one.example", ["https"]),
    ],
)
def test_a_wrong_entry_is_named_with_its_file(tmp_path: Path, text: str, words: list[str]):
    with pytest.raises(CatalogError) as caught:
        read_catalog(write(tmp_path, text))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_domains_are_stored_as_a_labels(tmp_path: Path):
    [provider] = read_catalog(write(tmp_path, GOOD.replace("one.example", "Bücher.example", 2).replace("imap.B", "b")))
    assert set(provider.domains) == {"xn--bcher-kva.example"}


@pytest.mark.proves("C1")
def test_loading_fills_the_catalog_and_loading_again_costs_one_query(db, django_assert_num_queries):
    assert load_catalog() is True
    google = Provider.objects.get(organization=None, key="google")
    assert (google.imap_host, google.imap_port, google.imap_security) == ("imap.gmail.com", 993, "tls")
    assert google.files_sent_mail
    assert google.hint.startswith("Google asks for an app password.")
    with django_assert_num_queries(1):
        assert load_catalog() is False


def test_what_leaves_the_files_is_hidden_and_what_changes_is_updated(db, tmp_path: Path, organization: Organization):
    load_catalog(write(tmp_path, GOOD))
    load_catalog(write(tmp_path, GOOD.replace("key: one", "key: two").replace("name: One", "name: Two")))
    assert Provider.objects.get(key="one").is_hidden
    provider = recognise("a@one.example", organization)
    assert provider is not None
    assert provider.name == "Two"
    load_catalog(write(tmp_path, GOOD.replace("imap.one", "mail.one")))
    one = Provider.objects.get(key="one")
    assert (one.is_hidden, one.imap_host) == (False, "mail.one.example")
    assert ProviderDomain.objects.get(domain="one.example").provider == one


def test_a_failing_load_changes_nothing(db, tmp_path: Path):
    load_catalog(write(tmp_path, GOOD))
    with pytest.raises(CatalogError):
        load_catalog(write(tmp_path, GOOD + GOOD))
    assert list(Provider.objects.values_list("key", flat=True)) == ["one"]


@pytest.mark.proves("C6")
def test_providers_that_cannot_work_say_so():
    values = {provider.key: Provider(**provider.values) for provider in read_catalog()}
    for key in ("proton", "tuta", "hey", "microsoft-365", "outlook", "ocn-ne-jp"):
        assert values[key].obstacle(), key
    for key in ("google", "gmx", "icloud", "posteo-de"):
        assert values[key].obstacle() == "", key
    assert values["proton"].status == Status.NOT_POSSIBLE
    assert "Signing in with Microsoft is not offered here yet." in values["outlook"].obstacle()
    assert values["sendgrid"].sending_obstacle() == ""


def test_the_sandbox_comes_with_its_password_and_goes_with_the_flag(db, settings, tmp_path: Path, organization):
    settings.STATE_DIR = tmp_path
    (tmp_path / "sandbox").mkdir()
    (tmp_path / "sandbox" / "password").write_text("swift-otter-7\n")
    settings.SANDBOX_IMAP_PORT, settings.SANDBOX_SMTP_PORT = 40143, 40587
    call_command("load_catalog", sandbox=True, verbosity=0)
    call_command("load_catalog", sandbox=True, verbosity=0)
    sandbox = recognise("alice@sandbox.test", organization)
    assert sandbox is not None
    assert (sandbox.imap_host, sandbox.imap_port) == ("imap.sandbox.test", 40143)
    assert "swift-otter-7" in sandbox.hint
    assert sandbox.obstacle() == ""
    call_command("load_catalog", verbosity=0)
    assert recognise("alice@sandbox.test", organization) is None


def test_the_sandbox_without_ports_or_password_says_what_is_missing(db, settings, tmp_path: Path):
    settings.STATE_DIR, settings.SANDBOX_IMAP_PORT = tmp_path, 0
    with pytest.raises(CommandError, match="EMAILSETTINGS_SANDBOX_IMAP_PORT"):
        call_command("load_catalog", sandbox=True, verbosity=0)
    settings.SANDBOX_IMAP_PORT = settings.SANDBOX_SMTP_PORT = 40143
    with pytest.raises(CommandError, match="password"):
        call_command("load_catalog", sandbox=True, verbosity=0)
