"""The wizard, step by step: address, provider, password, connected."""

from __future__ import annotations

import pytest
from django.urls import reverse

from accounts.models import Mailbox
from mailstore.models import SyncSchedule
from organizations.models import AuditEntry
from providers import lookup
from providers.models import Authentication, LoginRule, Provider, Status
from tests.sandbox.running import ALICE, BOB


@pytest.fixture
def connect(form_of, alice, sandbox):
    """Alice's last step for her sandbox mailbox, filled in."""
    return form_of(
        alice,
        "wizard-connect",
        address=ALICE,
        provider=Provider.objects.get(key="sandbox").pk,
        display_name="Alice Doe",
        password=sandbox.password,
    )


@pytest.fixture
def by_hand(form_of, alice, sandbox):
    """The same servers, typed by hand, for an address of a domain that nobody knows."""
    return form_of(
        alice,
        "wizard-connect",
        address="alice@unknown.example",
        manual="1",
        display_name="Alice Doe",
        imap_host="imap.sandbox.test",
        imap_port=sandbox.imap_port,
        imap_security="none",
        smtp_host="smtp.sandbox.test",
        smtp_port=sandbox.smtp_port,
        smtp_security="none",
        username=ALICE,
        password=sandbox.password,
        accepts_clear_text="on",
    )


# --- The address ------------------------------------------------------------------------------------------------


@pytest.mark.proves("E1")
def test_a_known_domain_leads_to_the_password_with_the_providers_hint(form_of, alice, make_provider):
    make_provider("northwind", "northwind.example", hint="Switch IMAP on first.", authentication="app_password")
    answer = form_of(alice, "wizard")(address="alice@northwind.example")
    assert "Northwind" in answer.words
    assert "Switch IMAP on first." in answer.words
    assert "App password" in answer.words
    assert "Your password goes to" not in answer.words
    assert answer.value_of("display_name") == "Alice"


def test_an_unknown_domain_asks_who_provides_it(form_of, alice, make_provider):
    make_provider("northwind", "northwind.example")
    answer = form_of(alice, "wizard")(address="anna@unknown.example")
    assert "We do not know unknown.example yet." in answer.words
    assert "colleagues with an address at unknown.example are not asked again" in answer.words
    assert "Northwind" in answer.words
    assert 'type="password"' not in answer.text


@pytest.mark.proves("C6")
@pytest.mark.parametrize(
    "fields",
    [
        {"status": Status.NOT_POSSIBLE, "hint": "It lets no other program in.", "imap_host": ""},
        {"authentication": Authentication.OAUTH, "hint": "It takes only its own sign-in page."},
        {"imap_host": ""},
    ],
)
def test_an_obstacle_is_told_before_any_password(form_of, alice, make_provider, fields):
    provider = make_provider("closed", "closed.example", **fields)
    answer = form_of(alice, "wizard")(address="anna@closed.example")
    assert "This mailbox cannot be connected." in answer.words
    assert provider.obstacle() in answer.words
    assert 'type="password"' not in answer.text
    assert "Type the servers myself" in answer.words


@pytest.mark.proves("C6")
def test_a_password_for_a_provider_that_takes_none_is_not_tried(form_of, alice, make_provider):
    provider = make_provider("closed", "closed.example", authentication=Authentication.OAUTH)
    answer = form_of(alice, "wizard-connect")(
        address="anna@closed.example", provider=provider.pk, display_name="Anna", password="typed"
    )
    assert answer.status == 422
    assert "cannot be connected" in answer.words


def test_a_recognised_provider_can_be_corrected(form_of, alice, make_provider):
    make_provider("northwind", "northwind.example")
    make_provider("other")
    answer = form_of(alice, "wizard-provider")(address="anna@northwind.example", recognised="1")
    assert answer.status == 200
    assert "Who provides this mailbox?" in answer.words
    assert "We do not know" not in answer.words


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "Type the address"),
        ("anna", "has an @"),
        ("anna@", "domain after the @ is missing"),
        ("anna@localhost", "has no dot"),
        ("an na@example.com", "no spaces"),
        ("a" * 300 + "@example.com", "not an email address"),
        ("a" * 400 + "@example.com", "too long"),
        ("anna@example.com\x00", "an invisible character"),
        ("<script>alert(1)</script>@example.com", "not an email address"),
        ("anna@exa\r\nmple.com", "no spaces"),
    ],
)
def test_what_is_no_address_is_told_and_kept(form_of, alice, typed, sentence):
    answer = form_of(alice, "wizard")(address=typed)
    assert answer.status == 422
    assert sentence in answer.words
    assert "<script>alert" not in answer.text
    assert (answer.value_of("address") or "").strip() == typed.strip()


def test_the_same_address_again_leads_to_its_settings(form_of, alice, mailbox):
    answer = form_of(alice, "wizard")(address="ALICE@example.org")
    assert answer.status == 422
    assert "already" in answer.words
    assert reverse("accounts:settings", args=[mailbox.pk]) in answer.text


def test_a_colleagues_address_tells_nothing_about_the_colleague(form_of, charlie, mailbox, make_provider):
    make_provider("example", "example.org")
    answer = form_of(charlie, "wizard")(address=mailbox.address)
    assert answer.status == 200
    assert "already" not in answer.words


@pytest.mark.parametrize("step", ["wizard-provider", "wizard-servers", "wizard-connect"])
def test_a_later_step_by_itself_goes_back_to_the_first(form_of, client_of, alice, step):
    assert client_of(alice).get(reverse(f"accounts:{step}")).headers["Location"] == reverse("accounts:wizard")
    answer = form_of(alice, step)()
    assert answer.status == 422
    assert "Type the address" in answer.words


def test_a_reload_keeps_the_address(form_of, client_of, alice):
    answer = form_of(alice, "wizard")(address="anna+x@unknown.example")
    page = client_of(alice).get(answer.headers["HX-Replace-Url"]).content.decode()
    assert 'value="anna+x@unknown.example"' in page


def test_the_wizard_works_without_scripts_up_to_the_password(client_of, alice, make_provider):
    make_provider("northwind", "northwind.example")
    page = client_of(alice).post(reverse("accounts:wizard"), {"address": "alice@northwind.example"}).content.decode()
    assert "<html" in page
    assert 'type="password"' in page


# --- Connecting -------------------------------------------------------------------------------------------------


@pytest.mark.proves("E1")
def test_the_right_password_connects_the_mailbox(connect, alice, sandbox):
    answer = connect()
    mailbox = Mailbox.objects.get()
    assert answer.verdicts == [True, True]
    assert answer.goes_to == reverse("accounts:connected", args=[mailbox.pk])
    assert (mailbox.owner, mailbox.address, mailbox.display_name) == (alice, ALICE, "Alice Doe")
    assert mailbox.can_send
    assert mailbox.password.reveal() == sandbox.password
    assert (mailbox.downloads, mailbox.download_period, mailbox.all_folders) == (True, "week", True)
    assert SyncSchedule.objects.filter(mailbox=mailbox).exists()


def test_connecting_is_in_the_audit_log_without_the_password(connect, alice, sandbox):
    connect()
    entry = AuditEntry.objects.get(action="mailbox.connected")
    assert (entry.actor, entry.object_label, entry.address) == (alice, ALICE, "127.0.0.1")
    assert sandbox.password not in str(entry.detail)


@pytest.mark.proves("D1")
def test_reading_and_sending_are_shown_step_by_step(connect):
    answer = connect()
    for word in ("Reading mail", "Sending mail", "Connection", "Greeting", "Sign-in", "Folders", "Inbox", "Sender"):
        assert word in answer.words
    assert [line for line in answer.lines if "step" in line]


@pytest.mark.proves("E1")
def test_a_wrong_password_keeps_nothing_and_names_the_cause(connect, sandbox):
    answer = connect(password="wrong-typed-1")
    assert answer.verdicts == [False, False]
    assert answer.goes_to is None
    assert "does not know this user name with this password" in answer.words
    assert "wrong-typed-1" not in answer.text
    assert not Mailbox.objects.exists()
    assert connect().goes_to


@pytest.mark.proves("A8")
def test_a_failed_attempt_is_in_the_audit_log_with_its_step_and_no_secret(connect, alice, sandbox):
    connect(password="wrong-typed-1")
    reading, sending = AuditEntry.objects.filter(action="mailbox.connecting_failed").order_by("pk")
    assert (reading.actor, reading.outcome, reading.address) == (alice, AuditEntry.Outcome.FAILED, "127.0.0.1")
    assert (reading.detail["address"], reading.detail["step"]) == (ALICE, "login")
    assert (reading.detail["connection"], sending.detail["connection"]) == ("reading", "sending")
    assert reading.detail["reason"] == "login-refused"
    assert "wrong-typed-1" not in f"{reading.detail} {sending.detail}"
    assert not AuditEntry.objects.filter(action="mailbox.connected").exists()


@pytest.mark.proves("A8")
def test_what_works_by_half_leaves_both_lines(connect):
    Provider.objects.filter(key="sandbox").update(smtp_port=1)
    connect()
    entry = AuditEntry.objects.get(action="mailbox.connecting_failed")
    assert (entry.detail["connection"], entry.detail["step"]) == ("sending", "before connecting")
    assert AuditEntry.objects.get(action="mailbox.connected").outcome == AuditEntry.Outcome.DONE


def test_pressing_twice_connects_once(connect):
    first, second = connect(), connect()
    assert first.goes_to
    assert second.status == 422
    assert "already" in second.words
    assert Mailbox.objects.count() == 1


def test_two_requests_at_the_same_moment_find_the_same_mailbox(connect, alice, monkeypatch):
    from accounts.forms import AddressForm

    monkeypatch.setattr(AddressForm, "clean_address", lambda form: form.cleaned_data["address"])
    assert connect().goes_to == connect().goes_to
    assert Mailbox.objects.count() == 1


@pytest.mark.proves("D1")
def test_a_mailbox_that_can_only_read_is_kept_and_says_so(connect, client_of, alice, sandbox):
    Provider.objects.filter(key="sandbox").update(smtp_port=1)
    answer = connect()
    assert answer.verdicts == [True, False]
    assert not Mailbox.objects.get().can_send
    page = client_of(alice).get(answer.goes_to).content.decode()
    assert "Sending does not work yet." in page
    assert "Servers and password" in page


def test_the_spaces_of_an_app_password_do_not_count(connect, sandbox):
    Provider.objects.filter(key="sandbox").update(authentication=Authentication.APP_PASSWORD)
    assert connect(password=f" {' '.join(sandbox.password)} ").goes_to
    assert Mailbox.objects.get().password.reveal() == sandbox.password


def test_the_spaces_of_a_password_count_and_those_around_a_refused_one_are_named(connect, sandbox):
    answer = connect(password=f"{sandbox.password} ")
    assert answer.verdicts == [False, False]
    assert "The password begins or ends with a space. If the space was pasted along, take it away" in answer.words
    assert "begins or ends with a space" not in connect(password="wrong one").words


def test_the_spaces_of_an_app_password_do_not_count_with_typed_servers_either(by_hand, make_provider, sandbox):
    host = {"imap_host": "imap.sandbox.test", "smtp_host": "smtp.sandbox.test"}
    Provider.objects.filter(key="sandbox").update(authentication=Authentication.APP_PASSWORD, **host)
    assert by_hand(password=f" {' '.join(sandbox.password)} ").goes_to
    assert Mailbox.objects.get().password.reveal() == sandbox.password


def test_a_provider_with_its_own_user_names_asks_for_one(form_of, connect, alice):
    Provider.objects.filter(key="sandbox").update(imap_login=LoginRule.TYPED, smtp_login=LoginRule.TYPED)
    assert form_of(alice, "wizard")(address=ALICE).value_of("username") == ALICE
    assert connect(address="sales@sandbox.test", username=ALICE).verdicts[0]
    assert Mailbox.objects.get().imap_username == ALICE


def test_missing_answers_are_asked_for_and_the_others_kept(connect):
    answer = connect(display_name="", password="typed-1")
    assert answer.status == 422
    assert "Type the name that people see" in answer.words
    answer = connect(display_name="Alice in Berlin", password="")
    assert answer.value_of("display_name") == "Alice in Berlin"
    assert "Type the password of the mailbox." in answer.words


@pytest.mark.parametrize("field", ["display_name", "password"])
def test_a_line_break_is_refused(connect, field):
    answer = connect(**{field: "one\r\nBcc: victim@example.org"})
    assert answer.status == 422
    assert "line break" in answer.words


def test_two_people_may_connect_the_same_address(connect, form_of, bob, sandbox):
    assert connect().goes_to
    assert form_of(bob, "wizard-connect", **connect.values)().goes_to
    assert Mailbox.objects.filter(address=ALICE).count() == 2


# --- What is learned --------------------------------------------------------------------------------------------


@pytest.mark.proves("C5")
def test_a_provider_chosen_by_hand_is_recognised_next_time(connect, form_of, alice, bob, sandbox):
    """The address lives at a company's domain; the sandbox knows its user name."""
    Provider.objects.filter(key="sandbox").update(imap_login=LoginRule.TYPED, smtp_login=LoginRule.TYPED)
    answer = connect(address="alice@company.example", username=ALICE)
    assert answer.verdicts[0]
    assert lookup.recognise("bob@company.example", alice.organization).key == "sandbox"
    words = form_of(bob, "wizard")(address="bob@company.example").words
    assert "Sandbox" in words
    assert "Your password goes to" in words
    assert "imap.sandbox.test" in words
    assert "A colleague chose this for addresses at company.example." in words
    assert AuditEntry.objects.get(action="provider.learned").actor == alice


@pytest.mark.proves("C5")
def test_a_choice_that_did_not_work_is_not_learned(connect, alice):
    connect(address="alice@company.example", password="wrong")
    assert lookup.recognise("bob@company.example", alice.organization) is None


@pytest.mark.proves("C5")
def test_who_types_servers_is_told_that_they_are_remembered_for_colleagues(form_of, alice, make_provider):
    make_provider("northwind", "northwind.example")
    new = form_of(alice, "wizard-servers")(address="anna@unknown.example").words
    assert "these servers are remembered: colleagues with an address at unknown.example then type only" in new
    again = form_of(alice, "wizard-connect")(address="anna@unknown.example", manual="1")
    assert again.status == 422
    assert "these servers are remembered" in again.words
    assert "remembered" not in form_of(alice, "wizard-servers")(address="anna@northwind.example").words


@pytest.mark.proves("C5", "A1")
def test_typed_servers_are_learned_for_this_organization_alone(by_hand, alice, other_organization, sandbox):
    # The sandbox lets a login send only as itself, so both sides work for its own address alone.
    Provider.objects.all().delete()
    assert by_hand(address=ALICE).goes_to
    found = lookup.recognise(BOB, alice.organization)
    assert found.imap_port == sandbox.imap_port
    assert Mailbox.objects.get().provider == found
    assert lookup.recognise(BOB, other_organization) is None


def test_servers_of_which_one_side_failed_are_not_taught(by_hand, alice):
    by_hand(smtp_port=1)
    assert Mailbox.objects.exists()
    assert lookup.recognise("bob@unknown.example", alice.organization) is None


# --- Servers by hand --------------------------------------------------------------------------------------------


@pytest.mark.proves("E1")
def test_servers_by_hand_begin_with_the_best_guess(form_of, alice):
    answer = form_of(alice, "wizard-servers")(address="anna@unknown.example")
    assert answer.value_of("imap_host") == "imap.unknown.example"
    assert answer.value_of("smtp_host") == "smtp.unknown.example"
    assert answer.value_of("username") == "anna@unknown.example"


def test_servers_by_hand_begin_with_the_recognised_providers(form_of, alice, make_provider):
    provider = make_provider("northwind", "northwind.example", imap_login=LoginRule.LOCAL_PART)
    answer = form_of(alice, "wizard-servers")(address="anna@northwind.example", provider=provider.pk)
    assert answer.value_of("imap_host") == "imap.northwind.example"
    assert answer.value_of("username") == "anna"


@pytest.mark.proves("E1")
def test_servers_by_hand_connect(by_hand):
    assert by_hand().goes_to
    mailbox = Mailbox.objects.get()
    assert (mailbox.imap_host, mailbox.imap_security, mailbox.imap_username) == ("imap.sandbox.test", "none", ALICE)


@pytest.mark.proves("J3")
def test_no_protection_has_to_be_confirmed(by_hand):
    answer = by_hand(accepts_clear_text=None)
    assert answer.status == 422
    assert "Without TLS the password and all mail cross the network readable." in answer.words
    assert not Mailbox.objects.exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"imap_host": "https://imap.example.com/"}, "Type only the host name, such as imap.example.com"),
        ({"smtp_host": "anna@example.com"}, "This is an email address"),
        ({"imap_host": "a b"}, "no spaces"),
        ({"imap_host": "x" * 300}, "at most 253"),
        ({"imap_port": "99999"}, "Type a whole number from 1 to 65535; 993 is usual."),
        ({"imap_port": "imap"}, "Type a whole number from 1 to 65535"),
        ({"smtp_port": ""}, "465 is usual"),
        ({"imap_security": "ssl3"}, "“Security” does not offer that"),
        ({"username": ""}, "Type the user name"),
        ({"username": "a\r\nb"}, "line break"),
        ({"imap_host": "", "smtp_host": ""}, "Type at least one server"),
    ],
)
def test_wrong_servers_are_told_and_everything_is_kept(by_hand, changes, sentence):
    answer = by_hand(**changes)
    assert answer.status == 422
    assert sentence in answer.words
    assert answer.value_of("display_name") == "Alice Doe"
    for name, typed in by_hand.values.items():
        if name in ("imap_host", "imap_port", "smtp_host", "smtp_port", "username") and name not in changes:
            assert answer.value_of(name) == str(typed)


def test_a_mailbox_that_only_sends_needs_no_imap_host(by_hand):
    assert by_hand(address=ALICE, imap_host="", imap_port="").goes_to
    mailbox = Mailbox.objects.get()
    assert mailbox.incoming() is None
    assert mailbox.can_send


# --- Connected --------------------------------------------------------------------------------------------------


@pytest.mark.proves("E2")
def test_the_connected_page_offers_download_and_settings(client_of, alice, mailbox):
    page = client_of(alice).get(reverse("accounts:connected", args=[mailbox.pk])).content.decode()
    assert reverse("mailstore:download", args=[mailbox.pk]) in page
    assert reverse("mailstore:estimate", args=[mailbox.pk]) in page
    assert reverse("accounts:settings", args=[mailbox.pk]) in page


def test_the_connected_page_is_for_those_who_may_set_it_up(client_of, mailbox, shared_mailbox, bob, charlie, dana):
    assert client_of(charlie).get(reverse("accounts:connected", args=[mailbox.pk])).status_code == 404
    assert client_of(dana).get(reverse("accounts:connected", args=[mailbox.pk])).status_code == 404
    assert client_of(bob).get(reverse("accounts:connected", args=[shared_mailbox.pk])).status_code == 403
