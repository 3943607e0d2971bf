"""Account mail: apart from every mail server of the organization, and honest about where it went."""

from __future__ import annotations

import pytest

from mailservers.models import MailServer
from organizations import account_mail
from organizations.account_mail import AccountMailFailed, Misconfigured
from organizations.models import AuditEntry
from protocols.endpoint import Security

TEST = "/people/account-mail/test"


@pytest.mark.proves("A5")
def test_a_broken_business_server_stops_no_invitation(as_administrator, account_server, organization):
    MailServer.objects.create(organization=organization, name="Broken", host="192.0.2.1", is_default=True)
    as_administrator.post("/people/invite", {"name": "Nora", "email": "nora@example.org"})
    [mail] = account_server.taken
    assert (mail.sender, mail.recipients) == ("accounts@example.org", ["nora@example.org"])
    assert b"Auto-Submitted: auto-generated" in mail.raw


def test_the_test_goes_to_whoever_asked_and_is_recorded(as_administrator, account_server):
    page = as_administrator.post(TEST, follow=True).content.decode()
    assert "on its way to ada@example.org" in page
    assert account_server.taken[0].recipients == ["ada@example.org"]
    assert AuditEntry.objects.get(action="account_mail.tested").outcome == "done"


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        ({"mail": "550 5.7.1 Not from there"}, "did not take the mail. It said: 550 5.7.1 Not from there"),
        ({"recipients": {"ada@example.org": "450 4.2.1 Later"}}, "did not take the mail for now"),
        ({"end": "554 5.6.0 No"}, "did not take the mail. It said: 554 5.6.0 No"),
        ({"after_dot": "drop"}, "may have arrived all the same"),
    ],
)
def test_a_failure_is_explained_with_the_servers_words(as_administrator, account_server, break_it, words):
    for name, value in break_it.items():
        setattr(account_server, name, value)
    assert words in as_administrator.post(TEST, follow=True).content.decode()
    assert AuditEntry.objects.get(action="account_mail.tested").outcome == "failed"


def test_without_a_transport_it_is_printed_and_the_page_says_so(as_administrator, capsys):
    page = as_administrator.post(TEST, follow=True).content.decode()
    assert "only printed in the log of the program" in page
    assert "Subject: Account mail works" in capsys.readouterr().out


def test_with_the_sandbox_its_addresses_are_served_there_and_all_others_printed(settings, tmp_path):
    (tmp_path / "password").write_text("sandbox-password\n")
    settings.SANDBOX_DIR, settings.SANDBOX_SMTP_PORT = tmp_path, 40587
    inside, outside = (account_mail.transport_to(address) for address in ("Alice@sandbox.test", "a@example.org"))
    assert (inside.endpoint.host, inside.endpoint.port) == ("smtp.sandbox.test", 40587)
    assert inside.credentials.password.reveal() == "sandbox-password"
    assert outside.endpoint is None
    assert "arrives in the sandbox" in account_mail.describe()


@pytest.mark.parametrize(
    ("url", "endpoint", "security", "username"),
    [
        ("smtp+tls://me%40example.org:p%40ss@mail.example.org", "mail.example.org:465", Security.TLS, "me@example.org"),
        ("smtp://u:p@mail.example.org:2525", "mail.example.org:2525", Security.STARTTLS, "u"),
        ("smtp+plain://relay.example.org", "relay.example.org:25", Security.NONE, None),
    ],
)
def test_the_url_says_server_security_and_login(settings, url, endpoint, security, username):
    settings.ACCOUNT_MAIL_URL, settings.ACCOUNT_MAIL_FROM = url, "accounts@example.org"
    transport = account_mail.transport_to("x@example.org")
    assert (str(transport.endpoint), transport.endpoint.security) == (endpoint, security)
    assert (transport.credentials.username if transport.credentials else None) == username
    assert endpoint in account_mail.describe()
    assert "p%40ss" not in account_mail.describe() + repr(transport)
    assert "p@ss" not in account_mail.describe() + repr(transport)


@pytest.mark.parametrize(
    "url",
    ["smtp://u:p@ss@w0rd:99999999", "mail.example.org", "smtp://", "smtp://u:pass-word@host:port", "imap://u@h"],
)
def test_a_url_that_cannot_be_read_is_refused_without_repeating_it(settings, url):
    settings.ACCOUNT_MAIL_URL = url
    with pytest.raises(Misconfigured, match="cannot be read") as refusal:
        account_mail.transport_to("x@example.org")
    assert "pass-word" not in str(refusal.value)
    assert account_mail.describe() == str(refusal.value)


def test_a_login_that_is_no_address_needs_a_sender(settings):
    settings.ACCOUNT_MAIL_URL = "smtp://user:p@mail.example.org"
    with pytest.raises(Misconfigured, match="ACCOUNT_MAIL_FROM"):
        account_mail.transport_to("x@example.org")


def test_a_name_with_a_line_break_gets_no_header_of_its_own(account_server, organization):
    with pytest.raises(AccountMailFailed, match="could not be written"):
        account_mail.send(
            "test", to=("A\r\nBcc: x@example.org", "a@example.org"), organization=organization, context={}
        )
    assert not account_server.taken
