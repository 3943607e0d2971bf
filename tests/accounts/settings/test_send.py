"""Whether and how a mailbox sends (spec E8), and what stands in From (spec E5)."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import DefaultSender, Mailbox, MailboxGrant
from delivery.forms import sendable_by
from delivery.outbox import CannotBeQueued, queue_message
from delivery.wanted import Wanted
from protocols.message.addresses import Address
from providers.models import Provider


@pytest.mark.proves("E8")
def test_a_mailbox_that_does_not_send_cannot_be_chosen_by_anybody_or_anything(send, alice, mailbox):
    assert send(sends=None).status == 302
    assert mailbox not in sendable_by(alice, timezone.now())
    with pytest.raises(CannotBeQueued, match="switched off in its settings"):
        queue_message(
            Wanted(
                author=alice,
                mailbox=Mailbox.objects.get(),
                to=[Address("", "bob@example.org")],
                submission_key="a program's",
            )
        )


@pytest.mark.proves("E5")
def test_everybody_has_one_default_sender_that_stands_in_from(send, form_of, client_of, alice, mailbox, make_mailbox):
    other = make_mailbox("aaa@example.org", alice, display_name="Aaa")
    assert send(is_my_default="on").status == 302
    assert sendable_by(alice, timezone.now())[0] == mailbox
    form_of(alice, "settings-send", other.pk, sends="on", display_name="Aaa", is_my_default="on")()
    assert DefaultSender.objects.get().mailbox == other
    page = client_of(alice).get(reverse("delivery:compose")).content.decode()
    assert f'<option value="{other.pk}" selected>' in page
    form_of(alice, "settings-send", other.pk, sends="on", display_name="Aaa")()
    assert not DefaultSender.objects.exists()


def test_my_default_sender_is_nobody_elses(send, bob, alice, shared_mailbox, mailbox):
    send(is_my_default="on")
    MailboxGrant.objects.filter(user=bob).update(may_send=True)
    assert sendable_by(bob, timezone.now()) == [shared_mailbox]


def test_who_may_not_send_from_it_cannot_make_it_a_default(form_of, administrator, mailbox):
    send = form_of(administrator, "settings-send", mailbox.pk, sends="on", display_name="A", is_my_default="on")
    assert "My default sender" not in send.get().words
    assert send().status == 302
    assert not DefaultSender.objects.exists()


@pytest.mark.proves("E8", "A6")
def test_the_language_of_the_mail_is_chosen_or_as_in_the_profile(send, form_of, alice, administrator, mailbox):
    alice.language = "nb"
    alice.save(update_fields=["language"])
    assert "As in my profile (Norwegian)" in send.get().words
    assert send(language="cs").status == 302
    assert Mailbox.objects.get().writes_in.name == "Czech"
    theirs = form_of(administrator, "settings-send", mailbox.pk, sends="on", display_name="A", language="")
    assert "As in the profile of Alice (Norwegian)" in theirs.get().words
    assert theirs().status == 302
    assert Mailbox.objects.get().writes_in.name == "Norwegian"


def test_a_language_that_is_not_offered_is_refused(send):
    refused = send(language="tlh")
    assert refused.status == 422
    assert "“Message language” does not offer that." in refused.words


@pytest.mark.proves("E8")
def test_an_account_of_the_organization_writes_english_unless_chosen_otherwise(form_of, administrator, make_mailbox):
    office = make_mailbox("office@example.org", None)
    send = form_of(administrator, "settings-send", office.pk, sends="on", display_name="Office", language="")
    assert "Default (English)" in send.get().words
    assert send(language="uk").status == 302
    office.refresh_from_db()
    assert office.writes_in.name == "Ukrainian"


@pytest.mark.proves("E8")
def test_the_way_mail_leaves_is_chosen_by_who_manages_accounts(form_of, send, administrator, mailbox, mail_server):
    assert "Who manages email accounts can choose another server" in send.get().words
    send(mail_server=mail_server.pk)
    assert Mailbox.objects.get().mail_server is None
    choose = form_of(administrator, "settings-send", mailbox.pk, sends="on", display_name="Alice")
    assert choose(mail_server=mail_server.pk).status == 302
    assert Mailbox.objects.get().mail_server == mail_server
    assert choose(mail_server="").status == 302
    assert Mailbox.objects.get().mail_server is None


def test_the_server_of_another_organization_is_not_offered(form_of, administrator, mailbox, mail_server, dana):
    mail_server.organization = dana.organization
    mail_server.save()
    choose = form_of(administrator, "settings-send", mailbox.pk, sends="on", display_name="Alice")
    answer = choose(mail_server=mail_server.pk)
    assert answer.status == 422
    assert "This mail server is gone" in answer.words
    assert choose(mail_server="9" * 30).status == 422


@pytest.mark.proves("E8")
def test_the_sent_copy_can_be_switched_and_says_what_the_provider_does(send, mailbox):
    provider = Provider.objects.create(key="files", name="Filing Mail", imap_host="i", files_sent_mail=True)
    Mailbox.objects.update(provider=provider)
    assert "Filing Mail files sent mail by itself" in send.get().words
    assert send(appends_sent=None).status == 302
    assert not Mailbox.objects.get().appends_sent


@pytest.mark.parametrize("name", ["", "   ", "Alice\r\nBcc: eve@example.org", "A" * 151, "Al\0ice"], ids=repr)
def test_a_name_that_cannot_stand_in_a_header_is_refused_and_kept_in_the_form(send, name):
    answer = send(display_name=name, sends=None)
    assert answer.status == 422
    assert Mailbox.objects.get().sends
    assert Mailbox.objects.get().display_name == "Alice"


def test_a_mailbox_without_any_server_is_told_what_to_do(form_of, alice, make_mailbox):
    mailbox = make_mailbox("x@example.org", alice, smtp_host="")
    assert "This account cannot send" in form_of(alice, "settings-send", mailbox.pk).get().words


@pytest.mark.proves("I3", "E8")
def test_sending_again_what_may_have_been_sent_is_chosen_with_a_warning(send, mailbox):
    assert not Mailbox.objects.get().retries_uncertain
    assert "People may get it twice." in send.get().words
    assert "Twice over never." not in send.get().words
    assert send(retries_uncertain="on").status == 302
    assert Mailbox.objects.get().retries_uncertain
    assert "Twice over never." in send.get().words
