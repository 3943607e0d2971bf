"""The account dialog: add, edit, test, delete."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox, MailboxGrant
from mailservers.models import MailServer
from mailstore.models import Conversation, SyncSchedule
from organizations.models import AuditEntry, OperationGrant
from organizations.operations import Operation
from tests.accounts.conftest import values_of
from tests.sandbox.running import SUPPORT

STORED = "mailbox-password"


@pytest.fixture
def create(form_of, administrator, mail_server):
    return form_of(
        administrator,
        "create",
        owner="",
        address="support@example.org",
        display_name="Support",
        mail_server=mail_server.pk,
        imap_host="imap.example.org",
        imap_port="993",
        imap_security="tls",
        imap_username="",
        password="typed-secret-1",
    )


@pytest.fixture
def edit_of(form_of, administrator):
    """`edit_of(mailbox, user=administrator)`: the dialog of a mailbox with nothing changed."""
    return lambda mailbox, user=administrator: form_of(user, "edit", mailbox.pk, **values_of(mailbox))


@pytest.fixture
def app_password_host(make_provider):
    return make_provider("groups", imap_host="imap.example.org", authentication="app_password").imap_host


@pytest.mark.proves("E1")
def test_the_spaces_of_an_app_password_do_not_count(create, app_password_host):
    assert create(password=" abcd efgh\u00a0ijkl ").status == 204
    assert Mailbox.objects.get().password.reveal() == "abcdefghijkl"


@pytest.mark.proves("E1")
def test_the_spaces_of_any_other_password_are_kept(create):
    assert create(password=" a bell  is short ").status == 204
    assert Mailbox.objects.get().password.reveal() == " a bell  is short "


# --- Adding -----------------------------------------------------------------------------------------------------


@pytest.mark.proves("E4")
def test_an_account_is_added_for_the_organization(create, administrator):
    answer = create()
    assert answer.status == 204
    news = json.loads(answer.headers["HX-Trigger"])
    assert news["toast"]["text"] == "support@example.org was added."
    assert {"dialog:close", "accounts:changed"} <= set(news)
    mailbox = Mailbox.objects.get()
    assert (mailbox.owner, mailbox.organization) == (None, administrator.organization)
    assert not mailbox.is_default
    assert mailbox.password.reveal() == "typed-secret-1"
    assert SyncSchedule.objects.filter(mailbox=mailbox).exists()


def test_an_account_is_added_for_a_person(create, bob):
    assert create(owner=bob.pk).status == 204
    assert Mailbox.objects.get().owner == bob


@pytest.mark.proves("A1")
def test_neither_people_nor_servers_of_others_can_be_chosen(create, dana, other_organization):
    foreign = MailServer.objects.create(organization=other_organization, name="Theirs", host="smtp.elsewhere.example")
    assert create(owner=dana.pk).status == 422
    assert create(mail_server=foreign.pk).status == 422
    assert not Mailbox.objects.exists()
    assert "Theirs" not in create.get().text
    assert "Dana" not in create.get().text


@pytest.mark.proves("E4")
def test_without_a_mail_server_there_is_a_warning_and_no_form(form_of, administrator):
    answer = form_of(administrator, "create").get()
    assert "There is no mail server yet." in answer.words
    assert "<form" not in answer.text


@pytest.mark.proves("E4")
def test_a_mail_server_has_to_be_chosen(create):
    answer = create(mail_server="")
    assert answer.status == 422
    assert "Choose the mail server that sends for this account." in answer.words
    assert answer.value_of("address") == "support@example.org"


def test_an_account_without_an_imap_host_only_sends(create):
    assert create(imap_host="", imap_port="", password="").status == 204
    mailbox = Mailbox.objects.get()
    assert mailbox.incoming() is None
    assert mailbox.can_send


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"address": ""}, "Type the address of this account."),
        ({"address": "support"}, "has an @"),
        ({"display_name": ""}, "Type the name that people see"),
        ({"display_name": "Sales\r\nBcc: x@example.org"}, "line break"),
        ({"imap_host": "imap.example.org:993/"}, "without slashes"),
        ({"imap_port": "0"}, "1 to 65535"),
        ({"imap_port": "9" * 40}, "1 to 65535"),
        ({"password": ""}, "Type the password with which this account reads its mail."),
        ({"imap_security": "none"}, "Without TLS"),
        ({"owner": "99999"}, "“Owner” does not offer that"),
        ({"owner": "' OR 1=1"}, "“Owner” does not offer that"),
    ],
)
def test_wrong_values_are_told_and_the_others_kept(create, changes, sentence):
    answer = create(**changes)
    assert answer.status == 422
    assert sentence in answer.words
    if "display_name" not in changes:
        assert answer.value_of("display_name") == "Support"
    assert "typed-secret-1" not in answer.text
    assert not Mailbox.objects.exists()


def test_the_same_address_twice_for_one_owner_is_refused(create):
    assert create().status == 204
    answer = create(address="SUPPORT@example.org")
    assert answer.status == 422
    assert "There is an account with this address and owner already." in answer.words


@pytest.mark.proves("E5")
def test_the_default_moves_to_the_new_account(create):
    create(is_default="on")
    create(address="sales@example.org", is_default="on")
    assert Mailbox.objects.get(is_default=True).address == "sales@example.org"


@pytest.mark.parametrize("view", ["create", "check-new"])
def test_adding_needs_the_operation(client_of, alice, view):
    assert client_of(alice).post(reverse(f"accounts:{view}"), {}).status_code == 403


def test_everything_that_is_done_stands_in_the_audit_log(create, edit_of, form_of, administrator):
    create()
    mailbox = Mailbox.objects.get()
    edit_of(mailbox)(display_name="Help", password="typed-secret-2")
    form_of(administrator, "delete", mailbox.pk)()
    entries = list(AuditEntry.objects.order_by("pk"))
    assert [entry.action for entry in entries] == ["mailbox.created", "mailbox.changed", "mailbox.deleted"]
    assert entries[1].detail == {"fields": ["display_name", "password"]}
    assert all(entry.actor == administrator and entry.address == "127.0.0.1" for entry in entries)
    assert "typed-secret" not in str([entry.detail for entry in entries])


# --- Editing ----------------------------------------------------------------------------------------------------


@pytest.mark.proves("E4")
def test_a_blank_password_keeps_the_stored_one(edit_of, mailbox):
    assert edit_of(mailbox)(display_name="Alice in Berlin").status == 204
    mailbox.refresh_from_db()
    assert mailbox.display_name == "Alice in Berlin"
    assert mailbox.password.reveal() == STORED


@pytest.mark.proves("E4")
def test_the_address_is_read_only(edit_of, mailbox):
    assert "disabled" in edit_of(mailbox).get().text.split('name="address"')[1].split(">")[0]
    assert edit_of(mailbox)(address="eve@example.org").status == 204
    mailbox.refresh_from_db()
    assert mailbox.address == "alice@example.org"


@pytest.mark.proves("F3")
def test_no_administrator_makes_the_mailbox_of_somebody_their_own(edit_of, mailbox, administrator, alice):
    edit_of(mailbox)(owner=administrator.pk)
    mailbox.refresh_from_db()
    assert mailbox.owner == alice


@pytest.mark.proves("J1")
def test_the_stored_password_is_on_no_page(edit_of, client_of, mailbox, administrator):
    assert STORED not in edit_of(mailbox).get().text
    assert STORED not in edit_of(mailbox)(display_name="").text
    for name in ("email-settings", "email-settings-accounts"):
        assert STORED not in client_of(administrator).get(reverse(name)).content.decode()


@pytest.mark.parametrize(
    "change", [{"imap_host": "imap.evil.example"}, {"imap_port": "143"}, {"imap_security": "none"}]
)
def test_the_stored_password_goes_to_no_other_server(edit_of, form_of, administrator, mailbox, change):
    change = {**change, "accepts_clear_text": "on"}
    answer = edit_of(mailbox)(**change)
    assert answer.status == 422
    assert "Type the password again" in answer.words
    checked = form_of(administrator, "check", mailbox.pk, **values_of(mailbox))(**change)
    assert checked.status == 422
    assert not checked.lines


@pytest.mark.proves("J3")
def test_no_protection_has_to_be_confirmed(edit_of, mailbox):
    answer = edit_of(mailbox)(imap_security="none", password="typed-1")
    assert "Without TLS" in answer.words
    assert edit_of(mailbox)(imap_security="none", password="typed-1", accepts_clear_text="on").status == 204


def test_new_credentials_clear_what_was_wrong(edit_of, mailbox):
    Mailbox.objects.update(
        login_refusals=2,
        paused_at=timezone.now(),
        attention={"title": "Wrong", "causes": []},
        attention_since=timezone.now(),
    )
    assert edit_of(mailbox)(display_name="Alice B").status == 204
    mailbox.refresh_from_db()
    assert mailbox.attention
    assert edit_of(mailbox)(password="right-one").status == 204
    mailbox.refresh_from_db()
    assert (mailbox.attention, mailbox.paused_at, mailbox.login_refusals) == (None, None, 0)
    assert SyncSchedule.objects.due(timezone.now()).filter(mailbox=mailbox).exists()


def refused_while_sending(mailbox: Mailbox, protocol: str) -> None:
    """As delivery leaves it: told and paused in the same moment."""
    now = timezone.now()
    attention = {"title": "The password is wrong.", "causes": [], "protocol": protocol}
    Mailbox.objects.filter(pk=mailbox.pk).update(attention=attention, attention_since=now, paused_at=now)


def test_another_mail_server_clears_what_was_wrong_with_the_one_before(edit_of, mailbox, mail_server):
    refused_while_sending(mailbox, "smtp")
    assert edit_of(mailbox)(mail_server=mail_server.pk).status == 204
    mailbox.refresh_from_db()
    assert mailbox.mail_server == mail_server
    assert (mailbox.attention, mailbox.attention_since, mailbox.paused_at) == (None, None, None)


def test_another_mail_server_cures_nothing_that_is_wrong_with_reading(edit_of, mailbox, mail_server):
    refused_while_sending(mailbox, "imap")
    assert edit_of(mailbox)(mail_server=mail_server.pk).status == 204
    mailbox.refresh_from_db()
    assert mailbox.attention
    assert mailbox.paused_at


def test_what_is_wrong_stands_in_the_dialog_with_its_cure(edit_of, mailbox):
    cause = {"cause": "It was changed.", "cure": "Type the new one.", "link": "https://help.example.com/"}
    Mailbox.objects.update(attention={"title": "The password is wrong.", "causes": [cause]})
    answer = edit_of(mailbox).get()
    assert "The password is wrong. It was changed. Type the new one. How to do it" in answer.words


def test_sending_can_be_switched_off(edit_of, mailbox):
    assert edit_of(mailbox)(sends=None).status == 204
    mailbox.refresh_from_db()
    assert not mailbox.can_send


def test_a_stored_password_that_does_not_open_is_asked_for(edit_of, mailbox):
    Mailbox.objects.update(password=b"\x01\x03abc" + b"x" * 40)
    assert edit_of(mailbox).get().status == 200
    answer = edit_of(mailbox)()
    assert answer.status == 422
    assert "The stored password can no longer be opened. Type it again." in answer.words
    assert edit_of(mailbox)(password="fresh").status == 204


def test_whoever_may_set_it_up_changes_servers_but_not_what_is_the_organizations(edit_of, shared_mailbox, alice):
    form = edit_of(shared_mailbox, alice)
    text = form.get().text
    assert 'name="is_default"' not in text
    assert 'name="mail_server"' not in text
    assert form(is_default="on", display_name="Sales team").status == 204
    shared_mailbox.refresh_from_db()
    assert (shared_mailbox.display_name, shared_mailbox.is_default) == ("Sales team", False)


@pytest.mark.parametrize("view", ["edit", "delete", "check", "settings"])
def test_others_see_nothing_and_readers_change_nothing(form_of, mailbox, shared_mailbox, bob, charlie, dana, view):
    for user, target, status in ((charlie, mailbox, 404), (dana, mailbox, 404), (bob, shared_mailbox, 403)):
        assert form_of(user, view, target.pk)().status == status
    assert Mailbox.objects.count() == 2


def test_an_account_that_lost_its_server_says_so_and_can_be_edited(
    create, edit_of, client_of, administrator, mail_server
):
    create()
    mail_server.delete()
    mailbox = Mailbox.objects.get()
    assert "None: it cannot send" in edit_of(mailbox).get().words
    assert edit_of(mailbox)(display_name="Help").status == 204
    page = client_of(administrator).get(reverse("email-settings")).content.decode()
    assert "Cannot send: no mail server is chosen" in page


# --- Plain addresses --------------------------------------------------------------------------------------------


def test_each_dialog_also_opens_as_a_page(client_of, administrator, mailbox, mail_server):
    for view, args in (("create", ()), ("edit", (mailbox.pk,)), ("delete", (mailbox.pk,))):
        page = client_of(administrator).get(reverse(f"accounts:{view}", args=args)).content.decode()
        assert "<html" in page
        assert 'hx-target="#account-frame"' in page


def test_saving_from_such_a_page_leads_to_the_settings(edit_of, client_of, administrator, mailbox):
    answer = edit_of(mailbox)(in_page="1")
    assert answer.headers["HX-Redirect"] == reverse("email-settings")
    assert 'hx-target="#account-frame"' in edit_of(mailbox)(in_page="1", display_name="").text
    plain = client_of(administrator).post(reverse("accounts:edit", args=[mailbox.pk]), values_of(mailbox))
    assert plain.headers["Location"] == reverse("email-settings")


# --- Testing ----------------------------------------------------------------------------------------------------


@pytest.mark.proves("D1")
def test_an_account_is_tested_before_it_is_saved(form_of, administrator, mail_server, sandbox):
    MailServer.objects.update(host="smtp.sandbox.test", port=sandbox.smtp_port, security="none", username="")
    answer = form_of(
        administrator,
        "check-new",
        address=SUPPORT,
        display_name="Support",
        mail_server=mail_server.pk,
        imap_host="imap.sandbox.test",
        imap_port=sandbox.imap_port,
        imap_security="none",
        password=sandbox.password,
        accepts_clear_text="on",
    )()
    assert answer.verdicts[0] is True
    assert len(answer.verdicts) == 2
    assert not Mailbox.objects.exists()


def test_the_stored_password_is_used_to_test_a_saved_account(form_of, make_mailbox, alice, sandbox):
    mailbox = make_mailbox(
        SUPPORT,
        alice,
        imap_host="imap.sandbox.test",
        imap_port=sandbox.imap_port,
        imap_security="none",
        smtp_host="",
    )
    mailbox.password = type(mailbox.password)(sandbox.password)
    mailbox.save()
    assert form_of(alice, "check", mailbox.pk, **values_of(mailbox))().verdicts == [True]


def test_where_there_is_nothing_to_test_it_says_so(form_of, make_mailbox, alice):
    mailbox = make_mailbox("a@example.org", alice, imap_host="", smtp_host="")
    answer = form_of(alice, "check", mailbox.pk, **values_of(mailbox))()
    assert answer.status == 422
    assert "There is nothing to test" in answer.words


# --- Deleting ---------------------------------------------------------------------------------------------------


@pytest.mark.proves("E12")
def test_what_goes_with_an_account_is_said_before(form_of, alice, mailbox, bob):
    Conversation.objects.create(mailbox=mailbox, subject="Prices")
    MailboxGrant.objects.create(mailbox=mailbox, user=bob, may_access=True)
    answer = form_of(alice, "delete", mailbox.pk).get()
    assert "Are you sure you want to delete the account Alice ? This cannot be undone." in answer.words
    assert "1 conversation and 1 right of somebody else." in answer.words
    assert "Nothing on the mail server" in answer.words
    assert Mailbox.objects.filter(pk=mailbox.pk).exists()


@pytest.mark.proves("E12")
def test_deleting_takes_the_account_and_what_is_stored(form_of, alice, mailbox):
    Conversation.objects.create(mailbox=mailbox, subject="Prices")
    answer = form_of(alice, "delete", mailbox.pk)()
    assert answer.status == 204
    assert "alice@example.org was deleted." in answer.headers["HX-Trigger"]
    assert not Mailbox.objects.exists()
    assert not Conversation.objects.exists()
    assert form_of(alice, "delete", mailbox.pk)().status == 404


def test_whoever_manages_accounts_may_delete_but_not_read(form_of, client_of, charlie, mailbox):
    OperationGrant.objects.create(operation=Operation.MANAGE_EMAIL_ACCOUNTS, user=charlie)
    assert client_of(charlie).get(reverse("mailstore:mailbox", args=[mailbox.pk])).status_code in (403, 404)
    assert form_of(charlie, "delete", mailbox.pk)().status == 204


@pytest.mark.proves("F2", "E12")
def test_the_right_to_set_an_account_up_is_no_right_to_delete_it(form_of, shared_mailbox, alice):
    form = form_of(alice, "delete", shared_mailbox.pk)
    assert (form.get().status, form().status) == (403, 403)
    assert Mailbox.objects.filter(pk=shared_mailbox.pk).exists()


def test_a_mail_server_whose_password_does_not_open_is_named_in_the_test(form_of, administrator, mailbox, mail_server):
    MailServer.objects.update(password=b"\x01\x03abc" + b"x" * 40)
    values = values_of(mailbox) | {"mail_server": mail_server.pk, "imap_host": ""}
    answer = form_of(administrator, "check", mailbox.pk, **values)(password="typed-1")
    assert answer.status == 422
    assert "The stored password of the mail server can no longer be opened." in answer.words
