"""The signature: what is kept of it, what is not, and how it leaves with a mail (spec E9)."""

from __future__ import annotations

import contextlib
import hashlib
import re
from email import message_from_bytes, policy

import pytest
from django.urls import reverse

from accounts import signature
from accounts.image_types import NotAnImage, kind_of
from accounts.models import MailboxGrant, Signature, SignatureImage
from accounts.rich_text import RichTextRefused
from accounts.signature import LARGEST_IMAGE, MOST_IMAGES, clean
from delivery.models import OutboxMessage
from tests.accounts.settings.pictures import GIF, JPEG, WEBP, data_address, png
from tests.effort import done_within

RED, BLUE = png(colour=b"\xff\0\0"), png(colour=b"\0\0\xff")
SIGNATURE = (
    '<p style="margin: 0px; font-family: Calibri; color: rgb(31, 73, 125);"><b>Alice Brandt</b></p>'
    f'<p><img src="{data_address(RED)}" alt="Logo"> <img src="{data_address(BLUE)}"></p>'
    '<p><a href="https://example.org/shop?a=1">example.org</a></p>'
)


@pytest.fixture
def sign(form_of, alice, mailbox):
    return form_of(alice, "settings-signature", mailbox.pk, is_on="on", html=SIGNATURE)


def name_of(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()


# --- Images -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "kind"), [(png(), "image/png"), (GIF, "image/gif"), (JPEG, "image/jpeg"), (WEBP, "image/webp")]
)
def test_an_image_is_known_by_its_octets(octets, kind):
    assert kind_of(octets) == kind


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<html><script>alert(1)</script>",
        b"GIF89a",
        b"\xff\xd8\xff\xe0\x00\x00" * 50,
        b"\xff\xd8" + b"\xff" * 50,
        b"RIFF\0\0\0\0WEBPVP9 ",
        png()[:20],
        png(9000, 1),
    ],
    ids=lambda octets: repr(octets[:12]),
)
def test_anything_else_is_no_image(octets):
    with pytest.raises(NotAnImage):
        kind_of(octets)


# --- Cleaning ---------------------------------------------------------------------------------------------------


@pytest.mark.proves("E9")
def test_formatting_and_every_image_are_kept():
    kept = clean(SIGNATURE)
    assert [image.content for image in kept.new] == [RED, BLUE]
    assert "font-family:Calibri" in kept.html.replace(" ", "")
    assert "color:rgb(31,73,125)" in kept.html.replace(" ", "")
    assert f'<img src="cid:{name_of(RED)}" alt="Logo">' in kept.html
    assert '<a href="https://example.org/shop?a=1">' in kept.html


@pytest.mark.proves("T9")
@pytest.mark.parametrize(
    "html",
    [
        "<script>alert(1)</script>x",
        "<p onerror=alert(1) onclick=alert(2)>x</p>",
        '<a href="javascript:alert(1)">x</a>',
        '<a href=" java\tscript:alert(1)">x</a>',
        '<p style="background: url(https://spy.example/x.png)">x</p>',
        '<p style="background-image: url(https://spy.example/x.png)">x</p>',
        '<link rel=stylesheet href="https://spy.example">x',
        "<style>p { background: url(https://spy.example) }</style>x",
        '<iframe src="https://spy.example"></iframe>x',
        '<form action="https://spy.example"><input name=a></form>x',
        '<svg><image href="https://spy.example" /></svg>x',
        '<table background="https://spy.example"><tr><td>x</td></tr></table>',
        '<meta http-equiv=refresh content="0;url=https://spy.example">x',
        "<math><mi xlink:href='javascript:alert(1)'>x</mi></math>y",
    ],
)
def test_what_runs_or_fetches_is_taken_out(html):
    kept = clean(html).html.lower()
    assert not re.search(r"script|spy\.example|onerror|url\(", kept)


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ('<img src="https://www.example.org/logo.png">', "lies on the web (https://www.example.org/logo.png)"),
        ('<img src="file:///C:/Users/a/logo.png">', "lies on a computer"),
        (f'<img src="{data_address(b"<svg/>", "svg+xml")}">', "is not a PNG, JPEG, GIF or WebP image"),
        ('<img src="data:image/png;base64,!!!!">', "is damaged"),
        ('<img src="data:text/html;base64,PGI+">', "is damaged"),
        (f'<img src="{data_address(png() + bytes(LARGEST_IMAGE))}">', "is 2.0 MB; 2 MB are possible"),
        (f'<img src="cid:{"0" * 64}">', "no longer stored here"),
        ("".join(f'<img src="{data_address(png(1, n))}">' for n in range(1, MOST_IMAGES + 2)), "more than 30 images"),
        ("<p>x</p>" * 5_000, "too long for a signature"),
        ("x" * 700_000, "too long for a signature"),
        ("x" * 70_000, "60,000 are possible"),
    ],
    ids=lambda text: text[:40],
)
def test_what_cannot_be_kept_is_said_and_never_dropped_in_silence(html, words):
    with pytest.raises(RichTextRefused) as refused:
        clean(html)
    assert words in str(refused.value)


@pytest.mark.parametrize("piece", ["<div>", "<b>", "<table><tr><td>", "<!--", "<img src='data:"])
def test_hostile_nesting_takes_no_time(piece):
    def refuse() -> None:
        with contextlib.suppress(RichTextRefused):
            clean(piece * 100_000)

    done_within(5, refuse)


# --- The page ---------------------------------------------------------------------------------------------------


@pytest.mark.proves("E9")
def test_a_saved_signature_comes_back_with_guarded_images(sign, client_of, alice, mailbox):
    assert sign().status == 302
    page = sign.get().text
    url = reverse("accounts:settings-signature-image", args=[mailbox.pk, name_of(RED)])
    assert url in page
    answer = client_of(alice).get(url)
    assert (answer.content, answer["Content-Type"]) == (RED, "image/png")
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_saving_again_keeps_what_is_shown_and_lets_go_of_the_rest(sign, mailbox):
    sign()
    url = reverse("accounts:settings-signature-image", args=[mailbox.pk, name_of(RED)])
    assert sign(html=f'<p><img src="{url}"></p>').status == 302
    assert list(SignatureImage.objects.values_list("sha256", flat=True)) == [name_of(RED)]
    assert sign(html="", is_on=None).status == 302
    assert not SignatureImage.objects.exists()
    assert not Signature.objects.get().is_on


def test_the_image_of_another_mailbox_cannot_be_taken(sign, form_of, alice, make_mailbox, mailbox):
    sign()
    other = make_mailbox("other@example.org", alice)
    url = reverse("accounts:settings-signature-image", args=[mailbox.pk, name_of(RED)])
    answer = form_of(alice, "settings-signature", other.pk, html=f'<img src="{url}">')()
    assert answer.status == 422
    assert "no longer stored here" in answer.words


def test_a_refused_signature_changes_nothing_and_loses_nothing(sign, mailbox):
    sign()
    answer = sign(html='<p>My new text <img src="https://www.example.org/logo.png"></p>')
    assert answer.status == 422
    assert "My new text" in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert SignatureImage.objects.count() == 2


def test_images_are_limited_together_too(sign, mailbox):
    large = [png() + bytes([number]) * (LARGEST_IMAGE - 100) for number in range(3)]
    answer = sign(html="".join(f'<img src="{data_address(each)}">' for each in large))
    assert answer.status == 422
    assert "6.0 MB together; 4 MB are possible" in answer.words
    assert not SignatureImage.objects.exists()


@pytest.mark.parametrize("html", ["\0", "a\0b", "\ud83d\ude00 emoji 😀", "<", "&#0;"], ids=repr)
def test_odd_characters_are_taken_or_refused_in_words(sign, html):
    assert sign(html=html.encode("utf-8", "replace").decode()).status in (302, 422)


@pytest.mark.proves("F2")
def test_who_sends_may_see_it_and_strangers_may_not(
    sign, client_of, mailbox, bob, charlie, dana, shared_mailbox, alice
):
    signature.save(shared_mailbox, SIGNATURE, is_on=True)
    image = reverse("accounts:settings-signature-image", args=[shared_mailbox.pk, name_of(RED)])
    preview = reverse("accounts:settings-signature-preview", args=[shared_mailbox.pk])
    page = reverse("accounts:settings-signature", args=[shared_mailbox.pk])
    for stranger in (bob, charlie, dana):
        assert client_of(stranger).get(image).status_code == 404
        assert client_of(stranger).get(preview).status_code == 404
    MailboxGrant.objects.filter(user=bob).update(may_send=True)
    assert client_of(bob).get(image).status_code == 200
    assert client_of(bob).get(preview).status_code == 200
    assert client_of(bob).get(page).status_code == 403
    assert client_of(alice).get(preview).status_code == 200


def test_the_preview_fetches_nothing_and_runs_nothing(sign, client_of, alice, mailbox):
    sign()
    answer = client_of(alice).get(reverse("accounts:settings-signature-preview", args=[mailbox.pk]))
    assert answer["Content-Security-Policy"].startswith("default-src 'none'; img-src data:;")
    assert "sandbox" in answer["Content-Security-Policy"]
    assert data_address(RED) in answer.content.decode()


# --- In a mail --------------------------------------------------------------------------------------------------


def sent(client_of, alice, mailbox, url: str = "delivery:compose", *args: object, **values: object):
    typed = {"submission_key": "form-1", "mailbox": mailbox.pk, "to": "bob@example.org", "subject": "Hi"}
    client_of(alice).post(reverse(url, args=args), typed | {"text": "Good morning", "signed": "on"} | values)
    message = OutboxMessage.objects.get()
    return message, message_from_bytes(bytes(message.raw), policy=policy.default)


@pytest.mark.proves("E9")
def test_a_mail_carries_the_signature_with_each_image_as_a_part(sign, client_of, alice, mailbox):
    sign()
    row, mail = sent(client_of, alice, mailbox)
    text, html = mail.get_body(("plain",)).get_content(), mail.get_body(("html",)).get_content()
    assert text.replace("\r\n", "\n").startswith("Good morning\n\n-- \nAlice Brandt\n")
    assert html.index("Good morning") < html.index("Alice Brandt")
    inline = {part["Content-ID"].strip("<>"): part for part in mail.walk() if part["Content-ID"]}
    assert re.findall(r'src="cid:([^"]+)"', html) == list(inline)
    assert [part.get_content() for part in inline.values()] == [RED, BLUE]
    assert {part.get_content_disposition() for part in inline.values()} == {"inline"}
    assert {part.get_content_type() for part in mail.walk()} >= {"multipart/related", "multipart/alternative"}
    assert row.attachment_count == 0


def test_it_can_be_taken_out_of_one_message(sign, client_of, alice, mailbox):
    sign()
    _, mail = sent(client_of, alice, mailbox, signed="")
    assert mail.get_content_type() == "text/plain"
    assert "Alice Brandt" not in mail.get_content()


def test_switched_off_it_is_not_added_and_not_shown(sign, client_of, alice, mailbox):
    sign(is_on=None)
    assert "settings/signature/preview" not in client_of(alice).get(reverse("delivery:compose")).content.decode()
    _, mail = sent(client_of, alice, mailbox)
    assert mail.get_content_type() == "text/plain"


def test_the_signature_of_another_account_is_not_used(sign, client_of, alice, mailbox, make_mailbox):
    sign()
    other = make_mailbox("other@example.org", alice)
    _, mail = sent(client_of, alice, other)
    assert mail.get_content_type() == "text/plain"


@pytest.mark.proves("E9")
def test_it_stands_above_what_is_quoted(sign, client_of, alice, mailbox):
    sign()
    _, mail = sent(client_of, alice, mailbox, quote="On Friday, Bob wrote:\n> When?\n>> Soon <b>.\n")
    text, html = mail.get_body(("plain",)).get_content(), mail.get_body(("html",)).get_content()
    for body in (text, html):
        places = [body.index(words) for words in ("Good morning", "Alice Brandt", "On Friday", "When?", "Soon")]
        assert places == sorted(places)
    assert "-- \n" not in text.replace("\r\n", "\n")
    assert html.count("<blockquote") == html.count("</blockquote>") == 2
    assert "Soon &lt;b&gt;." in html


def test_what_is_typed_is_text_in_the_html_too(sign, client_of, alice, mailbox):
    sign()
    typed = "<script>alert(1)</script> & see https://example.org/x\n  indented"
    _, mail = sent(client_of, alice, mailbox, text=typed)
    html = mail.get_body(("html",)).get_content()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; see" in html
    assert '<a href="https://example.org/x"' in html
    assert "<script" not in html


def test_sending_the_same_form_twice_makes_one_mail(sign, client_of, alice, mailbox):
    sign()
    sent(client_of, alice, mailbox)
    sent(client_of, alice, mailbox)
