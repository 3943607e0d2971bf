"""The language of what is written into people's mail: of the email account, else of its owner's profile (A6, E8)."""

from __future__ import annotations

import json
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html import unescape

import pytest
from django.urls import reverse

from accounts.models import Mailbox, MailboxGrant, Signature
from delivery.models import OutboxMessage
from organizations.models import User
from tests.delivery.writing import COMPOSE, filled, initial

pytestmark = [pytest.mark.django_db, pytest.mark.proves("A6", "E8")]

GERMAN_REPLY = "Am 20. November 2026 um 09:30 schrieb Bob Brown:\n> Can you deliver on Thursday?"
SWEDISH_HEAD = (
    "-------- Vidarebefordrat meddelande --------\nFrån: Bob Brown <bob@partner.example>\n"
    "Datum: 20 november 2026 kl. 09:30\nÄmne: Re: Order 77\nTill: alice@example.org, Carol <carol@example.org>\n"
    "Kopia: dave@example.org\n\nCan you deliver on Thursday?"
)


def speak(user: User, tag: str) -> None:
    User.objects.filter(pk=user.pk).update(language=tag)


def write_in(mailbox: Mailbox, tag: str) -> None:
    Mailbox.objects.filter(pk=mailbox.pk).update(language=tag)


def sent() -> EmailMessage:
    return message_from_bytes(bytes(OutboxMessage.objects.latest("pk").raw), policy=default)


def test_a_reply_is_written_in_the_language_of_the_profile(client_of, mailbox, stored, alice):
    speak(alice, "de")
    begun = initial(client_of(alice).get(reverse("delivery:reply", args=[stored(mailbox).pk])))
    assert begun["quote"].startswith(GERMAN_REPLY)


def test_the_language_of_the_account_overrules_the_profile(client_of, mailbox, stored, alice):
    speak(alice, "de")
    write_in(mailbox, "sv")
    begun = initial(client_of(alice).get(reverse("delivery:forward", args=[stored(mailbox).pk])))
    assert begun["quote"].startswith(SWEDISH_HEAD)


def test_an_account_of_the_organization_writes_english_until_a_language_is_chosen(
    client_of, make_mailbox, stored, administrator
):
    office = make_mailbox("office@example.org", None)
    MailboxGrant.objects.create(mailbox=office, user=administrator, may_access=True, may_send=True)
    speak(administrator, "de")
    url = reverse("delivery:reply", args=[stored(office).pk])
    assert initial(client_of(administrator).get(url))["quote"].startswith("On 20 November 2026 at 09:30, Bob Brown")
    write_in(office, "de")
    assert initial(client_of(administrator).get(url))["quote"].startswith(GERMAN_REPLY)


def test_the_editor_checks_the_spelling_of_the_chosen_account(client_of, mailbox, make_mailbox, alice):
    other = make_mailbox("other@example.org", alice, language="fr")
    write_in(mailbox, "uk")
    page = client_of(alice).get(COMPOSE, {"mailbox": other.pk}).content.decode()
    assert 'lang="fr"' in page
    known = json.loads(unescape(page.partition('data-languages="')[2].partition('"')[0]))
    assert known == {str(mailbox.pk): "uk", str(other.pk): "fr"}
    refused = client_of(alice).post(COMPOSE, filled(mailbox, to="nobody")).content.decode()
    assert 'lang="uk"' in refused


def test_what_is_sent_says_its_language_in_header_and_html(client_of, mailbox, alice):
    Signature.objects.create(mailbox=mailbox, is_on=True, html="<p>Alice</p>")
    write_in(mailbox, "pt")
    client_of(alice).post(COMPOSE, filled(mailbox, text="Bom dia", signed="on"))
    assert sent()["Content-Language"] == "pt"
    html = sent().get_body(("html",))
    assert html is not None
    assert '<div lang="pt">Bom dia</div>' in html.get_content()


def test_a_plain_mail_says_its_language_too(client_of, mailbox, alice):
    client_of(alice).post(COMPOSE, filled(mailbox))
    assert sent()["Content-Language"] == "en"
