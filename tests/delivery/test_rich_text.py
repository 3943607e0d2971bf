"""Mail with formatting: cleaned, with its images as parts, above the original as it was; and drafts that save it."""

from __future__ import annotations

import json
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts import signature
from delivery.models import OutboxMessage, SavedDraft
from mailservers.models import SizeLimit
from protocols.message.identity import reply_headers
from protocols.message.parse import parse_summary
from tests.accounts.settings.pictures import data_address, png
from tests.delivery.writing import COMPOSE, filled, initial

pytestmark = pytest.mark.django_db

RED, BLUE = png(12, 4, b"\xc0\x30\x20"), png(12, 4, b"\x2a\x4b\xc7")
HTML_MAIL = (
    b"From: Bob <bob@partner.example>\r\nTo: alice@example.org\r\nSubject: News\r\n"
    b"Message-ID: <two@partner.example>\r\nDate: Fri, 20 Nov 2026 09:30:00 +0000\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    b"<table><tr><td bgcolor=red>Hello <b>Alice</b><script>x()</script><img src='cid:logo@b'>"
    b"<img src='https://b.example/n.png'></td></tr></table>\r\n"
    b"--b\r\nContent-Type: image/png; name=logo.png\r\nContent-ID: <logo@b>\r\n"
    b"Content-Transfer-Encoding: binary\r\n\r\n" + RED + b"\r\n--b--\r\n"
)


def rich(mailbox, html: str, **changes: object) -> dict[str, object]:
    return filled(mailbox, format="rich", html=html, text="", **changes)


def sent() -> EmailMessage:
    return message_from_bytes(bytes(OutboxMessage.objects.latest("pk").raw), policy=policy.default)


def html_of(mail: EmailMessage) -> str:
    return mail.get_body(("html",)).get_content()


def inline(mail: EmailMessage) -> dict[str, bytes]:
    return {part["Content-ID"].strip("<>"): part.get_content() for part in mail.walk() if part["Content-ID"]}


@pytest.mark.proves("H3")
def test_formatting_arrives_cleaned_with_a_plain_text_beside_it(client_of, mailbox, alice):
    html = '<p style="margin: 0px">Dear <b>Bob</b>,</p><ul><li>one</li></ul><script>x()</script><a href="https://a.example">see</a>'
    assert client_of(alice).post(COMPOSE, rich(mailbox, html)).status_code == 302
    mail = sent()
    assert "<b>Bob</b>" in html_of(mail)
    assert "script" not in html_of(mail)
    lines = mail.get_body(("plain",)).get_content().split()
    assert lines == ["Dear", "Bob,", "-", "one", "see", "<https://a.example>"]


@pytest.mark.proves("H3", "E9")
def test_pasted_images_travel_as_parts_beside_those_of_the_signature(client_of, mailbox, alice):
    signature.save(mailbox, f'<p>Alice <img src="{data_address(BLUE)}"></p>', is_on=True)
    body = f'<p>Look: <img src="{data_address(RED)}" alt="Chart"> and again <img src="{data_address(RED)}"></p>'
    client_of(alice).post(COMPOSE, rich(mailbox, body, signed="on"))
    mail = sent()
    parts = inline(mail)
    assert list(parts.values()) == [RED, BLUE]
    assert all(html_of(mail).count(f'src="cid:{cid}"') == times for cid, times in zip(parts, (2, 1), strict=True))
    assert OutboxMessage.objects.get().attachment_count == 0
    assert "[Chart]" in mail.get_body(("plain",)).get_content()


def test_an_image_that_cannot_be_sent_is_told_and_nothing_is_lost(client_of, mailbox, alice):
    html = '<p>Hours of work</p><img src="data:image/svg+xml;base64,PHN2Zy8+">'
    answer = client_of(alice).post(COMPOSE, rich(mailbox, html))
    assert answer.status_code == 422
    assert "Pasted image 1 cannot be used" in answer.content.decode()
    assert "Hours of work" in answer.content.decode()
    assert not OutboxMessage.objects.exists()


def test_html_that_is_nested_absurdly_is_refused_at_once(client_of, mailbox, alice):
    answer = client_of(alice).post(COMPOSE, rich(mailbox, "<div>" * 5000 + "x"))
    assert answer.status_code == 422
    assert "nested too deeply" in answer.content.decode()


@pytest.mark.proves("H3")
def test_a_reply_quotes_the_html_of_the_original_with_its_images(client_of, mailbox, stored, alice):
    original = stored(mailbox, HTML_MAIL)
    url = reverse("delivery:reply", args=[original.pk])
    begun = initial(client_of(alice).get(url))
    client_of(alice).post(url, rich(mailbox, "<p>Thanks</p>", quote=begun["quote"], include_original="on"))
    mail = sent()
    html = html_of(mail)
    assert html.index("Thanks") < html.index("Bob wrote:") < html.index('<blockquote type="cite"') < html.index("Hello")
    assert "script" not in html
    assert "b.example" not in html  # the writer of the original has it
    [(cid, octets)] = inline(mail).items()
    assert octets == RED
    assert f'src="cid:{cid}"' in html
    assert "> Hello Alice" in mail.get_body(("plain",)).get_content()
    assert (mail["In-Reply-To"], mail["References"]) == ("<two@partner.example>", "<two@partner.example>")


@pytest.mark.proves("H3")
def test_the_original_can_be_left_out(client_of, mailbox, stored, alice):
    url = reverse("delivery:reply", args=[stored(mailbox, HTML_MAIL).pk])
    begun = initial(client_of(alice).get(url))
    client_of(alice).post(url, rich(mailbox, "<p>Thanks</p>", quote=begun["quote"]))
    assert "Hello" not in bytes(OutboxMessage.objects.get().raw).decode()


@pytest.mark.proves("H3")
def test_passed_on_it_stays_whole_with_what_lies_on_the_web(client_of, mailbox, stored, alice):
    url = reverse("delivery:forward", args=[stored(mailbox, HTML_MAIL).pk])
    begun = initial(client_of(alice).get(url))
    client_of(alice).post(url, rich(mailbox, "<p>See</p>", quote=begun["quote"], include_original="on"))
    html = html_of(sent())
    assert "Forwarded message" in html
    assert 'src="https://b.example/n.png"' in html
    assert list(inline(sent()).values()) == [RED]


@pytest.mark.proves("H3")
def test_passed_on_as_one_file_it_is_the_very_message(client_of, mailbox, stored, alice):
    plain = b"From: bob@partner.example\r\nSubject: Plain \r\nMessage-ID: <x@y>\r\n\r\nFrom here\r\n.\r\n"
    url = reverse("delivery:forward", args=[stored(mailbox, plain).pk])
    client_of(alice).post(url, rich(mailbox, "<p>See</p>", quote="not this", as_attachment="on"))
    [part] = [part for part in sent().walk() if part.get_content_type() == "message/rfc822"]
    assert part.get_filename().endswith(".eml")
    assert plain in bytes(OutboxMessage.objects.get().raw)
    assert b"not this" not in bytes(OutboxMessage.objects.get().raw)


@pytest.mark.proves("H3")
def test_what_seven_bits_cannot_carry_travels_as_a_file(client_of, mailbox, stored, alice):
    url = reverse("delivery:forward", args=[stored(mailbox, HTML_MAIL).pk])
    client_of(alice).post(url, rich(mailbox, "<p>See</p>", as_attachment="on"))
    [part] = sent().iter_attachments()
    assert (part.get_content_type(), part.get_content()) == ("application/octet-stream", HTML_MAIL)


def test_references_of_a_long_thread_stay_below_what_servers_take():
    chain = b" ".join(b"<%d.%s@partner.example>" % (number, b"x" * 60) for number in range(300))
    parent = parse_summary(b"Message-ID: <last@x>\r\nReferences: " + chain + b"\r\n\r\n")
    _, references = reply_headers(parent)
    assert references[0].startswith("0.")
    assert references[-1] == "last@x"
    assert sum(len(one) + 3 for one in references) < 2_000


# --- From -------------------------------------------------------------------------------------------------------


@pytest.mark.proves("E8", "H3")
def test_every_address_of_a_mailbox_can_stand_in_from(client_of, mailbox, alice):
    mailbox.sender_address = "sales@example.org"
    mailbox.save()
    page = client_of(alice).get(COMPOSE).content.decode()
    assert f'<option value="{mailbox.pk}" selected>Alice &lt;sales@example.org&gt;</option>' in page
    assert f'<option value="{mailbox.pk}:own">Alice &lt;alice@example.org&gt;</option>' in page
    client_of(alice).post(COMPOSE, filled(mailbox))
    client_of(alice).post(COMPOSE, filled(mailbox, submission_key="form-2") | {"mailbox": f"{mailbox.pk}:own"})
    senders = OutboxMessage.objects.order_by("pk").values_list("sender", "from_header")
    assert list(senders) == [
        ("sales@example.org", "Alice <sales@example.org>"),
        ("alice@example.org", "Alice <alice@example.org>"),
    ]


# --- Sizes ------------------------------------------------------------------------------------------------------


@pytest.mark.proves("I8")
def test_a_mail_that_the_server_would_not_take_is_refused_with_its_limit(client_of, mailbox, alice, settings):
    SizeLimit.objects.create(
        host=mailbox.smtp_host.lower(), port=mailbox.smtp_port, octets=70_000, seen_at=timezone.now()
    )
    page = client_of(alice).get(COMPOSE)
    assert json.loads(page.context["form"].mail_limits) == {
        str(mailbox.pk): {"octets": 70_000, "host": mailbox.smtp_host}
    }
    answer = client_of(alice).post(COMPOSE, filled(mailbox, text="long " * 15_000))
    assert answer.status_code == 422
    assert f"{mailbox.smtp_host} takes" in answer.content.decode()
    assert not OutboxMessage.objects.exists()


# --- Drafts -----------------------------------------------------------------------------------------------------

KEY = "0123456789abcdef0123456789abcdef"


def save(client, key: str = KEY, **fields: object):
    body = {"kind": "compose", "original": None, "fields": {"to": "bob@example.org", "subject": "Half", **fields}}
    return client.post(reverse("delivery:save-draft", args=[key]), json.dumps(body), content_type="application/json")


def test_a_draft_that_cannot_be_one_is_not_there(client_of, mailbox, alice):
    client = client_of(alice)
    assert client.get(COMPOSE, {"draft": "\0"}).status_code == 200
    assert client.post("/mail/drafts/%00/discard").status_code == 404


@pytest.mark.proves("H3")
def test_a_draft_is_found_again_as_it_was_typed_and_gone_once_it_is_sent(client_of, mailbox, alice):
    client = client_of(alice)
    assert save(client, html="<p>Half a", format="rich", signed=False).status_code == 204
    assert save(client, html="<p>Half a letter</p>", format="rich", signed=False).status_code == 204
    page = client.get(COMPOSE, {"draft": KEY})
    assert initial(page)["html"] == "<p>Half a letter</p>"
    assert initial(page)["submission_key"] == KEY
    assert initial(page)["signed"] is False
    listed = client.get(reverse("delivery:drafts")).content.decode()
    assert "Half" in listed
    assert f"{COMPOSE}?draft={KEY}" in listed
    client.post(COMPOSE, rich(mailbox, "<p>Half a letter</p>", submission_key=KEY))
    assert not SavedDraft.objects.exists()
    assert save(client, html="late").status_code == 409  # an autosave that was still on its way
    assert not SavedDraft.objects.exists()


@pytest.mark.proves("A1", "F3")
def test_nobody_else_finds_a_draft(client_of, mailbox, alice, bob):
    save(client_of(alice))
    assert initial(client_of(bob).get(COMPOSE, {"draft": KEY})).get("subject") == ""
    assert client_of(bob).post(reverse("delivery:discard-draft", args=[KEY])).status_code == 404
    save(client_of(bob), subject="Bob's own")
    assert SavedDraft.objects.get(user=alice).subject == "Half"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'"x"',
        b'{"kind": "x", "fields": {}}',
        b'{"kind": "compose", "fields": []}',
        b'{"kind": "compose", "fields": {"to": 5}}',
        b'{"kind": "compose", "fields": {"subject": "a\\u0000b"}}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_draft_is_refused(client_of, alice, body):
    url = reverse("delivery:save-draft", args=[KEY])
    assert client_of(alice).post(url, body, content_type="application/json").status_code == 422
    assert not SavedDraft.objects.exists()


def test_a_draft_can_be_discarded(client_of, alice):
    client = client_of(alice)
    save(client)
    assert client.post(reverse("delivery:discard-draft", args=[KEY])).status_code == 302
    assert not SavedDraft.objects.exists()
