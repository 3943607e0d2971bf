"""What comes out of a message: its HTML, images within it, files, the octets; and under which headers."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from email.message import EmailMessage

import pytest
import time_machine
from django.test import AsyncRequestFactory, Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import MailboxGrant
from mailstore.downloads import attachment_file
from mailstore.inline_images import LIFETIME, address_of
from mailstore.models import Attachment, Message
from mailstore.packs import directory_of, read_raw
from mailstore.rendering import FRAME_POLICY
from tests.mailstore.panel.conftest import PIXEL, html_mail, mail, mail_with_files


@pytest.fixture
def message(mailbox, deliver):
    return deliver(mailbox, mail_with_files())


@pytest.fixture
def client(alice, client_of):
    return client_of(alice)


def image_address(client, message) -> str:
    body = client.get(reverse("mailstore:message-body", args=[message.pk])).content.decode()
    [address] = re.findall(r'<img src="([^"]+)"', body)
    return address


@pytest.mark.proves("H2", "T9")
def test_the_html_of_a_message_comes_under_a_policy_of_its_own(client, message):
    answer = client.get(reverse("mailstore:message-body", args=[message.pk]))
    assert answer["Content-Security-Policy"] == FRAME_POLICY
    assert "sandbox" in FRAME_POLICY
    assert "allow-scripts" not in FRAME_POLICY
    assert "allow-same-origin" not in FRAME_POLICY
    assert answer["X-Frame-Options"] == "SAMEORIGIN"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Type"] == "text/html; charset=utf-8"
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.proves("H2", "T9")
def test_the_frame_around_it_allows_neither_scripts_nor_our_origin(client, message):
    page = client.get(reverse("mailstore:conversation", args=[message.conversation_id])).content.decode()
    [sandbox] = re.findall(r'<iframe[^>]* sandbox="([^"]*)"', page)
    assert set(sandbox.split()) == {"allow-popups", "allow-popups-to-escape-sandbox"}


@pytest.mark.proves("H2", "T12")
def test_an_image_within_a_message_is_fetched_without_signing_in_by_its_signed_address(client, message):
    answer = Client().get(image_address(client, message))
    assert (answer.status_code, answer.content, answer["Content-Type"]) == (200, PIXEL, "image/png")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.proves("T12", "T18")
def test_a_changed_or_old_address_of_an_image_opens_nothing(client, message):
    address = image_address(client, message)
    assert Client().get(address[:-2] + ("aa" if address[-2:] != "aa" else "bb")).status_code == 404
    with time_machine.travel(timezone.now() + LIFETIME + timedelta(seconds=2), tick=False):
        assert Client().get(address).status_code == 404


@pytest.mark.proves("F3", "T18")
def test_an_address_of_an_image_ends_with_the_right_it_was_made_for(bob, shared_mailbox, client_of, deliver):
    message = deliver(shared_mailbox, mail_with_files())
    address = image_address(client_of(bob), message)
    assert Client().get(address).status_code == 200
    MailboxGrant.objects.filter(user=bob).update(ends_at=timezone.now())
    assert Client().get(address).status_code == 404


@pytest.mark.proves("F3")
def test_an_address_of_an_image_ends_with_the_person(client, alice, message):
    address = image_address(client, message)
    type(alice).objects.filter(pk=alice.pk).update(is_active=False)
    assert Client().get(address).status_code == 404


@pytest.mark.proves("T12")
def test_a_part_that_only_says_it_is_an_image_is_not_shown(alice, mailbox, deliver, client):
    letter = html_mail('<img src="cid:x@example.com">')
    letter.get_payload()[1].add_related(b"<script>alert(1)</script>", "image", "png", cid="<x@example.com>")
    message = deliver(mailbox, letter)
    assert Client().get(image_address(client, message)).status_code == 404


@pytest.mark.proves("T12")
def test_an_svg_has_no_address_and_a_part_of_another_message_neither(mailbox, deliver, client, message):
    letter = html_mail('<img src="cid:svg@example.com"><img src="cid:logo@example.com">')
    letter.get_payload()[1].add_related(b"<svg/>", "image", "svg+xml", cid="<svg@example.com>")
    other = deliver(mailbox, letter)
    assert "/mail/inline/" not in client.get(reverse("mailstore:message-body", args=[other.pk])).content.decode()


@pytest.mark.proves("T12", "T18")
def test_no_address_reaches_a_part_that_is_no_image(alice, message):
    for attachment in message.attachments.exclude(content_type="image/png"):
        assert Client().get(address_of(message, attachment.path, alice)).status_code == 404


@pytest.mark.proves("H2", "T9", "T15")
@pytest.mark.parametrize(
    ("filename", "content_type", "shown"),
    [
        ("Rechnung März.pdf", "application/pdf", "filename*=utf-8''Rechnung%20M%C3%A4rz.pdf"),
        ("page.html", "application/octet-stream", 'filename="page.html"'),
    ],
)
def test_a_file_is_only_ever_saved(client, message, filename, content_type, shown):
    attachment = Attachment.objects.get(message=message, filename=filename)
    answer = client.get(reverse("mailstore:attachment", args=[attachment.pk]))
    assert answer["Content-Disposition"].startswith("attachment; ")
    assert shown in answer["Content-Disposition"]
    assert answer["Content-Type"] == content_type
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"


@pytest.mark.proves("T9", "T12")
@pytest.mark.parametrize(
    "kind", ["image/svg+xml", "text/html", "text/xml", "application/xhtml+xml", "text/javascript", "x"]
)
def test_whatever_a_browser_might_run_is_handed_out_as_octets(client, message, kind):
    Attachment.objects.filter(message=message).update(content_type=kind)
    for attachment in message.attachments.all():
        answer = client.get(reverse("mailstore:attachment", args=[attachment.pk]))
        assert answer["Content-Type"] == "application/octet-stream"
        assert answer["Content-Disposition"].startswith("attachment")


@pytest.mark.proves("T15")
@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a\r\nSet-Cookie: x=1", "\u202egnp.exe", "CON.txt", "x" * 255, '"; x']
)
def test_no_name_leaves_its_header(client, message, name):
    Attachment.objects.filter(message=message).update(filename=name)
    answer = client.get(reverse("mailstore:attachment", args=[message.attachments.first().pk]))
    disposition = answer["Content-Disposition"]
    assert "Set-Cookie" not in answer
    assert not set("\r\n/\u202e") & set(disposition)
    assert ".." not in disposition


@pytest.mark.proves("H2", "G1")
def test_the_original_comes_octet_by_octet(client, mailbox, deliver):
    raw = b"From: a@example.com\r\nSubject: =?x?=\x00\xff\r\n\r\nbroken \xfe\r\n"
    answer = client.get(reverse("mailstore:source", args=[deliver(mailbox, raw).pk]))
    assert answer.content == raw
    assert answer["Content-Type"] == "text/plain"
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["X-Content-Type-Options"] == "nosniff"


@pytest.mark.proves("G1")
def test_a_lost_pack_is_a_sentence_on_every_page(client, mailbox, message):
    for pack in directory_of(mailbox.pk).iterdir():
        pack.unlink()
    page = client.get(reverse("mailstore:conversation", args=[message.conversation_id]))
    assert page.status_code == 200
    assert "stored copy of this message cannot be opened" in page.content.decode()
    for url in (
        reverse("mailstore:message-body", args=[message.pk]),
        reverse("mailstore:source", args=[message.pk]),
        reverse("mailstore:attachment", args=[message.attachments.first().pk]),
    ):
        answer = client.get(url)
        assert answer.status_code == 404
        assert "stored copy of this message cannot be opened" in answer.content.decode()


@pytest.mark.proves("G1")
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\xff\xfe",
        b"no header at all",
        b"Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>open",
        b"Content-Type: text/plain; charset=nonsense\r\nContent-Transfer-Encoding: base64\r\n\r\n????",
        b"Subject: " + b"x" * 300_000 + b"\r\n\r\nbody",
    ],
)
def test_a_broken_message_shows_what_can_be_read_and_offers_its_original(client, mailbox, deliver, raw):
    message = deliver(mailbox, raw)
    page = client.get(reverse("mailstore:conversation", args=[message.conversation_id]))
    assert page.status_code == 200
    assert reverse("mailstore:source", args=[message.pk]) in page.content.decode()


def test_a_plain_message_has_no_frame_page(client, mailbox, deliver):
    message = deliver(mailbox, mail())
    assert client.get(reverse("mailstore:message-body", args=[message.pk])).status_code == 404


@pytest.fixture
def large(mailbox, deliver, monkeypatch) -> Message:
    """A message that counts as too large for memory, alone in its pack."""
    files = EmailMessage()
    files["Subject"] = "Large"
    files.set_content("Hello")
    files.add_attachment(bytes(range(256)) * 12_000, maintype="application", subtype="pdf", filename="plan.pdf")
    stored = deliver(mailbox, files)
    monkeypatch.setattr("mailstore.packs.LARGE_MESSAGE", 1_000_000)
    return stored


@pytest.mark.proves("R25")
def test_a_large_message_is_shown_and_downloaded_in_pieces(client, large):
    page = client.get(reverse("mailstore:conversation", args=[large.conversation_id]))
    assert "Hello" in page.content.decode()
    source = client.get(reverse("mailstore:source", args=[large.pk]))
    assert source.streaming
    assert int(source["Content-Length"]) == large.stored_size
    assert b"".join(source.streaming_content) == read_raw(large)
    file = client.get(reverse("mailstore:attachment", args=[large.attachments.get().pk]))
    assert file["Content-Disposition"] == 'attachment; filename="plan.pdf"'
    assert b"".join(file.streaming_content) == bytes(range(256)) * 12_000


def test_under_asgi_the_pieces_leave_one_by_one(large):
    request = AsyncRequestFactory().get("/")
    response = attachment_file(request, large.attachments.get())

    async def leaving() -> list[bytes]:
        return [piece async for piece in response]

    pieces = asyncio.run(leaving())
    assert response.is_async
    assert len(pieces) > 2
    assert b"".join(pieces) == bytes(range(256)) * 12_000
