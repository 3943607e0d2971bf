"""The options of the organization, and what the wizard and the dialogs make of them (spec B3, C6, E10)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox
from mailstore.models import SyncSchedule
from organizations.models import AuditEntry, OperationGrant
from organizations.operations import Operation
from providers import entries
from tests.providers.conftest import HTMX, url, words

OPTIONS = "/communications/settings/email/options"
AUTOMATIC = {"automatic_per_recipient": "20", "automatic_per_thread": "5"}  # as the page sends them
SERVERS = {
    "manual": "1", "address": "alice@northwind.example", "display_name": "Alice", "username": "alice",
    "imap_host": "imap.northwind.example", "imap_port": "993", "imap_security": "tls", "smtp_host": "",
    "smtp_port": "465", "smtp_security": "tls", "password": "secret",
}  # fmt: skip


@pytest.fixture
def only_known(organization) -> None:
    organization.allows_typed_servers = False
    organization.save()


def wizard(browser, address: str, step: str = "wizard", **values: str):
    return browser.post(reverse(f"accounts:{step}"), {"address": address, **values}, headers=HTMX)


def test_the_options_are_saved_and_recorded(ada, organization):
    answer = ada.post(OPTIONS, {**AUTOMATIC, "sync_interval": "15"}, follow=True)
    assert "The options are saved." in words(answer)
    organization.refresh_from_db()
    assert (organization.sync_interval, organization.allows_typed_servers) == (15, False)
    assert AuditEntry.objects.get().detail == {
        "before": {"sync_interval": 5, "allows_typed_servers": True},
        "after": {"sync_interval": 15, "allows_typed_servers": False},
    }
    ada.post(OPTIONS, {**AUTOMATIC, "sync_interval": "15"})
    assert AuditEntry.objects.count() == 1  # nothing was changed


@pytest.mark.proves("T24")
def test_limits_of_automatic_mail_are_options(ada, organization):
    sent = {"automatic_per_recipient": "7", "automatic_per_thread": "2", "sync_interval": "5"}
    assert "The options are saved." in words(ada.post(OPTIONS, sent, follow=True))
    organization.refresh_from_db()
    assert (organization.automatic_per_recipient, organization.automatic_per_thread) == (7, 2)
    answer = ada.post(OPTIONS, sent | {"automatic_per_recipient": "0"})
    assert answer.status_code == 422
    assert answer.context["form"].errors["automatic_per_recipient"] == ["Type 1 to 1000 mails a day."]


@pytest.mark.parametrize("minutes", ["", "0", "-5", "1441", "5.5", "soon", "9" * 30, "\x00"])
def test_a_wrong_interval_is_named_and_nothing_is_stored(ada, organization, minutes: str):
    answer = ada.post(OPTIONS, {**AUTOMATIC, "sync_interval": minutes})
    assert answer.status_code == 422
    assert answer.context["form"].errors["sync_interval"] == ["Type 1 to 1440 minutes (a day)."]
    organization.refresh_from_db()
    assert (organization.sync_interval, organization.allows_typed_servers) == (5, True)


@pytest.mark.proves("A4")
@pytest.mark.parametrize(
    ("operation", "shown", "kept"),
    [
        (Operation.MANAGE_EMAIL_ACCOUNTS, "sync_interval", "allows_typed_servers"),
        (Operation.MANAGE_EMAIL_PROVIDERS, "allows_typed_servers", "sync_interval"),
    ],
)
def test_each_option_needs_its_operation(client_of, alice, organization, operation, shown: str, kept: str):
    assert client_of(alice).get(OPTIONS).status_code == 403
    assert "Options" not in words(client_of(alice).get(reverse("email-settings")))
    OperationGrant.objects.create(operation=operation, user=alice)
    browser = client_of(alice)
    text = browser.get(OPTIONS).content.decode()
    assert f'name="{shown}"' in text
    assert f'name="{kept}"' not in text
    assert OPTIONS in browser.get(reverse("email-settings")).content.decode()
    before = getattr(organization, kept)
    browser.post(OPTIONS, {**AUTOMATIC, "sync_interval": "60"})
    organization.refresh_from_db()
    assert getattr(organization, kept) == before


@pytest.mark.proves("E10")
def test_a_shorter_interval_counts_at_once(ada, make_mailbox, administrator, organization):
    now = timezone.now()
    organization.sync_interval = 60
    organization.save()
    plain, own, waiting = (make_mailbox(f"{name}@example.org", administrator) for name in ("plain", "own", "waiting"))
    Mailbox.objects.filter(pk=own.pk).update(sync_interval=60)
    for mailbox in (plain, own, waiting):
        SyncSchedule.objects.filter(mailbox=mailbox).update(due_at=now + timedelta(minutes=55), waiting_for="")
    SyncSchedule.objects.filter(mailbox=waiting).update(waiting_for="the server does not answer")
    ada.post(OPTIONS, {**AUTOMATIC, "sync_interval": "10", "allows_typed_servers": "on"})
    due = {mailbox: SyncSchedule.objects.get(mailbox=mailbox).due_at for mailbox in (plain, own, waiting)}
    assert due[plain] <= timezone.now() + timedelta(minutes=10)
    assert due[own] == due[waiting] == now + timedelta(minutes=55)


def test_the_page_leads_to_what_is_hidden(ada, google, administrator):
    entries.hide(google, administrator)
    text = ada.get(OPTIONS).content.decode()
    assert "1 provider is hidden" in text
    assert f"{url('list')}?show=hidden" in text


# --- Servers by hand --------------------------------------------------------------------------------------------


@pytest.mark.proves("B3")
def test_where_only_known_providers_are_allowed_the_wizard_offers_no_servers(only_known, client_of, alice, google):
    browser = client_of(alice)
    asked = words(wizard(browser, "alice@northwind.example"))
    assert "Type the servers myself" not in asked
    assert "only administrators type servers by hand" in asked
    assert wizard(browser, "alice@northwind.example", "wizard-servers").status_code == 403
    assert browser.post(reverse("accounts:wizard-connect"), SERVERS, headers=HTMX).status_code == 403
    assert not Mailbox.objects.exists()


@pytest.mark.proves("B3")
def test_administrators_type_servers_all_the_same(only_known, ada, google):
    assert "Type the servers myself" in words(wizard(ada, "ada@northwind.example"))
    assert wizard(ada, "ada@northwind.example", "wizard-servers").status_code == 200


@pytest.mark.proves("B3")
def test_the_dialog_keeps_the_servers_of_whoever_may_not_type_them(only_known, client_of, alice, mailbox):
    values = {
        "display_name": "Alice B.", "sends": "on", "imap_host": "imap.elsewhere.example", "imap_port": "143",
        "imap_security": "starttls", "smtp_host": "smtp.elsewhere.example", "smtp_port": "25", "smtp_security": "none",
    }  # fmt: skip
    answer = client_of(alice).post(reverse("accounts:edit", args=[mailbox.pk]), values, headers=HTMX)
    assert answer.status_code == 204
    mailbox.refresh_from_db()
    assert mailbox.display_name == "Alice B."
    assert (mailbox.imap_host, mailbox.imap_port, mailbox.imap_security) == ("imap.example.org", 993, "tls")
    assert (mailbox.smtp_host, mailbox.smtp_port, mailbox.smtp_security) == ("smtp.example.org", 465, "tls")


# --- What the wizard says before a password ---------------------------------------------------------------------


@pytest.mark.proves("C6")
def test_a_provider_that_cannot_work_is_said_before_a_password(client_of, alice, hey):
    answer = wizard(client_of(alice), "alice@hey.com")
    assert "HEY opens to its own apps only." in words(answer)
    assert 'type="password"' not in answer.content.decode()


@pytest.mark.proves("C6")
@pytest.mark.parametrize("step", ["wizard", "wizard-provider", "wizard-connect"])
def test_one_that_takes_only_oauth_never_shows_a_password_field(client_of, alice, google, override, step: str):
    own = override(google, authentication="oauth", hint="Sign in at the provider.")
    answer = wizard(client_of(alice), "alice@gmail.com", step, provider=str(own.pk), password="x", display_name="A")
    assert "Sign in at the provider." in words(answer)
    assert 'type="password"' not in answer.content.decode()
    assert not Mailbox.objects.exists()


@pytest.mark.proves("B3", "C6")
def test_a_hidden_provider_is_said_and_not_asked_for_a_password(client_of, ada, alice, google, administrator):
    entries.hide(google, administrator)
    answer = wizard(client_of(alice), "alice@gmail.com")
    assert "Google (Gmail) is not offered in Example Ltd." in words(answer)
    assert 'type="password"' not in answer.content.decode()
    chosen = wizard(client_of(alice), "alice@gmail.com", "wizard-provider", provider=str(google.pk))
    assert chosen.status_code == 422
    assert "not offered any more" in words(chosen)
    assert url("card", google.pk) in wizard(ada, "ada@gmail.com").content.decode()


@pytest.mark.proves("C2")
def test_the_wizard_shows_the_own_hint_and_logo_to_everybody(client_of, alice, google, override):
    from providers import logos
    from tests.providers.conftest import picture

    own = override(google, hint="Ask the desk for an app password.")
    logos.keep(own, logos.encode(picture()))
    text = wizard(client_of(alice), "alice@gmail.com").content.decode()
    assert "Ask the desk for an app password." in text
    assert own.logo_url in text
    assert client_of(alice).get(own.logo_url).status_code == 200
