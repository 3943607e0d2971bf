"""Writing mail in the browser: what may stand in From, errors that name the address, one submission per form."""

from __future__ import annotations

import re
from email import message_from_bytes

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from accounts.models import MailboxGrant
from delivery.models import OutboxMessage
from mailstore.models import Message
from tests.delivery.conftest import states
from tests.delivery.writing import COMPOSE, filled, initial

pytestmark = pytest.mark.django_db


# --- New messages -----------------------------------------------------------------------------------------------


@pytest.mark.proves("I4", "H3")
def test_sending_queues_one_message_and_goes_back_to_where_one_came_from(client_of, mailbox, alice):
    client = client_of(alice)
    for _ in range(2):  # a double click
        response = client.post(COMPOSE, filled(mailbox, next="/mail/"))
        assert (response.status_code, response.url) == (302, "/mail/")
    message = OutboxMessage.objects.get()
    assert states(message) == {"bob@example.org": "queued"}
    page = client.get(reverse("delivery:email-log")).content.decode()
    assert f'<a class="link" href="{reverse("delivery:message", args=[message.pk])}">See it</a>' in page


@pytest.mark.proves("R20")
def test_the_same_form_with_other_words_is_refused_with_a_link_to_what_was_sent(client_of, mailbox, alice):
    client = client_of(alice)
    client.post(COMPOSE, filled(mailbox))
    response = client.post(COMPOSE, filled(mailbox, text="Changed in the second tab"))
    assert response.status_code == 422
    page = response.content.decode()
    assert reverse("delivery:message", args=[OutboxMessage.objects.get().pk]) in page
    assert "Changed in the second tab" in page


def test_each_form_has_a_key_of_its_own(client_of, mailbox, alice):
    client = client_of(alice)
    assert initial(client.get(COMPOSE))["submission_key"] != initial(client.get(COMPOSE))["submission_key"]


@pytest.mark.proves("F2", "E8")
def test_from_offers_exactly_the_mailboxes_one_may_send_from(
    client_of, make_mailbox, mailbox, shared_mailbox, alice, bob
):
    make_mailbox("off@example.org", alice, sends=False)
    make_mailbox("receive-only@example.org", alice, smtp_host="")
    make_mailbox("bobs@example.org", bob)
    offered = {
        person.name: [box.address for box in client_of(person).get(COMPOSE).context["mailboxes"]]
        for person in (alice, bob)
    }
    assert offered == {"Alice": ["alice@example.org", "sales@example.org"], "Bob": ["bobs@example.org"]}


def test_without_any_mailbox_the_page_says_what_to_do(client_of, charlie):
    assert "No email account to send from" in client_of(charlie).get(COMPOSE).content.decode()


@pytest.mark.proves("T19")
def test_a_mailbox_that_is_not_offered_cannot_be_posted(client_of, mailbox, shared_mailbox, alice):
    MailboxGrant.objects.filter(user=alice).update(may_send=False)
    response = client_of(alice).post(COMPOSE, filled(shared_mailbox))
    assert response.status_code == 422
    assert "cannot send from that email account any more" in response.content.decode()
    assert not OutboxMessage.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"to": "bob@example.org, bob@, carol"}, "to", "“bob@” is not an email address"),
        ({"to": "bob@example.org, bob@, carol"}, "to", "“carol” is not an email address"),
        ({"to": "d@exa mple.org"}, "to", "“d@exa mple.org” is unclear"),
        ({"to": "", "cc": "", "bcc": ""}, "to", "Write at least one address"),
        ({"cc": "Ann Lee@example.org"}, "cc", "is unclear"),
        ({"bcc": "bob@exa mple.org"}, "bcc", "is unclear"),
        ({"to": ", ".join(f"r{number}@example.org" for number in range(501))}, "to", "500 is the limit"),
        ({"subject": "x" * 901}, "subject", "at most 900 characters"),
    ],
)
def test_bad_input_names_the_field_and_the_cause_and_keeps_what_was_typed(
    client_of, mailbox, alice, changes, field, sentence
):
    typed = filled(mailbox, text="A long letter that took an hour", **changes)
    response = client_of(alice).post(COMPOSE, typed)
    assert response.status_code == 422
    assert sentence in " ".join(response.context["form"].errors[field])
    page = response.content.decode()
    assert "A long letter that took an hour" in page
    assert not OutboxMessage.objects.exists()


def test_every_bad_address_is_named_once_on_a_line_of_its_own(client_of, mailbox, alice):
    typed = filled(mailbox, to="bob@, carol, bob@, dave@example.org", cc="eve@example..org")
    response = client_of(alice).post(COMPOSE, typed)
    lines = re.findall(r'<span class="line">(.*?)</span>', response.content.decode())
    assert lines == [
        "“bob@” is not an email address: There must be something after the @-sign.",
        "“carol” is not an email address: An email address must have an @-sign.",
        "“eve@example..org” is not an email address: An email address cannot have two periods in a row.",
    ]


@pytest.mark.proves("T4")
def test_line_breaks_typed_into_the_subject_begin_no_header(client_of, mailbox, alice):
    response = client_of(alice).post(COMPOSE, filled(mailbox, subject="Hello\r\nBcc: eve@example.org"))
    assert response.status_code == 422
    assert "A subject is one line" in response.content.decode()


def test_addresses_may_have_names_and_stand_on_lines_of_their_own(client_of, mailbox, alice):
    typed = 'Bob <bob@example.org>;\n"Brown, Carol" <carol@example.org>\nBOB@example.org, dave@bücher.example'
    client_of(alice).post(COMPOSE, filled(mailbox, to=typed))
    message = OutboxMessage.objects.get()
    assert list(states(message)) == ["bob@example.org", "carol@example.org", "dave@xn--bcher-kva.example"]
    assert message_from_bytes(bytes(message.raw))["To"].startswith('Bob <bob@example.org>, "Brown, Carol" <carol@')


@pytest.mark.proves("H3")
def test_files_travel_along_with_harmless_names(client_of, mailbox, alice):
    files = [
        SimpleUploadedFile("../../etc/päss\u202egnp.exe", b"one", "text/plain"),
        SimpleUploadedFile("two.pdf", b"%PDF", "application/pdf"),
    ]
    client_of(alice).post(COMPOSE, filled(mailbox, attachments=files))
    parsed = message_from_bytes(bytes(OutboxMessage.objects.get().raw))
    parts = [part for part in parsed.walk() if part.get_content_disposition() == "attachment"]
    assert [part.get_payload(decode=True) for part in parts] == [b"one", b"%PDF"]
    assert [part.get_filename() for part in parts] == ["pässgnp.exe", "two.pdf"]


def test_files_that_are_too_large_together_are_refused_in_words(client_of, mailbox, alice, monkeypatch):
    monkeypatch.setattr("delivery.forms.MAX_ATTACHMENTS_SIZE", 1000)
    files = [SimpleUploadedFile(f"{number}.bin", b"x" * 600) for number in range(2)]
    response = client_of(alice).post(COMPOSE, filled(mailbox, attachments=files))
    assert response.status_code == 422
    assert "Choose fewer or smaller files" in response.content.decode()
    assert "Files must be chosen again" in response.content.decode()


@pytest.mark.proves("T17")
@pytest.mark.parametrize(
    "there", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "\\\\evil.example"]
)
def test_the_way_back_never_leads_to_another_site(client_of, mailbox, alice, there):
    client = client_of(alice)
    assert initial(client.get(COMPOSE, {"next": there}))["next"] == ""
    assert client.post(COMPOSE, filled(mailbox, next=there)).url == reverse("delivery:email-log")


def test_htmx_gets_a_fragment_with_the_errors_or_the_way_on(client_of, mailbox, alice):
    client, htmx = client_of(alice), {"HX-Request": "true"}
    wrong = client.post(COMPOSE, filled(mailbox, to="nobody"), headers=htmx)
    assert wrong.status_code == 422
    assert "<html" not in wrong.content.decode()
    right = client.post(COMPOSE, filled(mailbox, next="/mail/"), headers=htmx)
    assert right.headers["HX-Redirect"] == "/mail/"


# --- Replies ----------------------------------------------------------------------------------------------------


@pytest.mark.proves("H3")
def test_a_reply_goes_where_the_original_asks_and_quotes_it(client_of, mailbox, stored, alice):
    response = client_of(alice).get(reverse("delivery:reply", args=[stored(mailbox).pk]))
    begun = initial(response)
    assert begun["to"] == "orders@partner.example"
    assert begun["cc"] == ""
    assert begun["subject"] == "Re: Order 77"
    assert begun["mailbox"] == mailbox.pk
    assert begun["quote"].startswith("On 20 November 2026 at 09:30, Bob Brown wrote:\n> Can you deliver on Thursday?")


@pytest.mark.proves("H3")
def test_a_reply_to_all_leaves_out_oneself(client_of, mailbox, stored, alice):
    begun = initial(client_of(alice).get(reverse("delivery:reply", args=[stored(mailbox).pk]) + "?all=1"))
    assert begun["to"] == "orders@partner.example"
    assert begun["cc"] == "Carol <carol@example.org>, dave@example.org"


@pytest.mark.proves("H3")
def test_a_sent_reply_names_what_it_answers(client_of, mailbox, stored, alice):
    original = stored(mailbox)
    client_of(alice).post(reverse("delivery:reply", args=[original.pk]), filled(mailbox))
    message = OutboxMessage.objects.get()
    parsed = message_from_bytes(bytes(message.raw))
    assert parsed["In-Reply-To"] == "<two@partner.example>"
    assert parsed["References"] == "<one@partner.example> <two@partner.example>"
    assert message.answers == original


@pytest.mark.proves("H3")
def test_forwarding_takes_the_chosen_files_along_and_answers_nobody(client_of, mailbox, stored, alice):
    original = stored(mailbox)
    url = reverse("delivery:forward", args=[original.pk])
    client = client_of(alice)
    response = client.get(url)
    begun = initial(response)
    assert begun["subject"] == "Fwd: Re: Order 77"
    assert "From: Bob Brown <bob@partner.example>" in begun["quote"]
    assert "order.pdf" in response.content.decode()
    client.post(url, filled(mailbox, keep=begun["keep"]))
    client.post(url, filled(mailbox, submission_key="form-2"))
    with_file, without = OutboxMessage.objects.order_by("pk")
    assert b"order.pdf" in bytes(with_file.raw)
    assert (with_file.attachment_count, without.attachment_count) == (1, 0)
    assert message_from_bytes(bytes(with_file.raw))["In-Reply-To"] is None
    assert with_file.answers is None


@pytest.mark.proves("F3", "A1", "T18")
def test_the_original_of_a_reply_is_shown_only_to_those_who_may_read_it(
    client_of, mailbox, shared_mailbox, stored, bob, charlie, dana, administrator
):
    own, shared = stored(mailbox), stored(shared_mailbox)
    for name in ("reply", "forward"):
        for stranger in (bob, charlie, dana, administrator):
            assert client_of(stranger).get(reverse(f"delivery:{name}", args=[own.pk])).status_code == 404
        assert client_of(bob).get(reverse(f"delivery:{name}", args=[shared.pk])).status_code == 200


def test_a_reply_can_be_begun_when_the_stored_octets_are_gone(client_of, mailbox, stored, alice):
    original = stored(mailbox)
    Message.objects.filter(pk=original.pk).update(pack="0-0.pack")
    url = reverse("delivery:reply", args=[original.pk])
    response = client_of(alice).get(url)
    assert initial(response)["to"] == "Bob Brown <bob@partner.example>"
    assert "cannot be read from the disk" in response.content.decode()
    client_of(alice).post(url, filled(mailbox))
    assert message_from_bytes(bytes(OutboxMessage.objects.get().raw))["In-Reply-To"] == "<two@partner.example>"
