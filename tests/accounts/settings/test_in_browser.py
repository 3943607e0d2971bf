"""The settings page in a real browser: every tab, and the editor of the signature with its pastes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import BrowserContext, Page, expect

from accounts import signature
from accounts.models import Signature, SignatureImage
from delivery.models import OutboxMessage
from mailstore.models import SyncRun
from organizations.models import User
from tests.accounts.settings.pictures import data_address, png
from tests.sandbox.running import BOB, SUPPORT
from tests.servers.browser import message_box

pytestmark = pytest.mark.django_db(transaction=True)

TABS = ["", "/send", "/folders", "/signature", "/log", "/advanced"]
RED, BLUE, GREEN = (png(120, 40, colour) for colour in (b"\xc0\x30\x20", b"\x2a\x4b\xc7", b"\x17\x69\x3f"))

# What Word puts on the clipboard: rules for its classes, images as files of its own, the same images in RTF.
WORD = """<html xmlns:o="urn:schemas-microsoft-com:office:office"><head><style><!--
p.MsoNormal {margin:0cm; font-size:11.0pt; font-family:"Calibri",sans-serif;}
--></style></head><body lang=EN><!--StartFragment--><p class=MsoNormal><b>
<span style='color:#1F497D;mso-fareast-language:EN-GB'>Alice Brandt</span></b><o:p></o:p></p>
<p class=MsoNormal><img width=120 height=40 src="file:///C:/Temp/msohtmlclip1/01/clip_image001.png">
<img width=120 height=40 src="file:///C:/Temp/msohtmlclip1/01/clip_image002.png"></p><!--EndFragment--></body></html>"""
RTF = (
    r"{\rtf1\ansi Alice {\*\shppict{\pict\picscalex100\pngblip " + RED.hex() + r"}}{\nonshppict{\pict\wmetafile8 "
    + "00" * 40 + r"}} {\*\shppict{\pict{\*\picprop{\sp{\sn x}{\sv 1}}}\pngblip " + "\n" + BLUE.hex() + "}}}"
)  # fmt: skip
GMAIL = f"""<div dir="ltr"><div style="color:rgb(34,34,34)"><table cellpadding="0"><tbody><tr>
<td width="130" style="padding-right:10px"><img src="{data_address(GREEN)}" width="96"></td>
<td style="border-left:2px solid rgb(42,75,199);padding-left:10px">
<font face="georgia, serif" color="#aa0000" size="4">Alice</font>
<br><a href="mailto:alice@example.org">alice@example.org</a></td></tr></tbody></table></div></div>"""


@pytest.fixture
def signed_in(context: BrowserContext, live_server, client_of: Callable, alice: User) -> User:
    cookie = client_of(alice).cookies["sessionid"]
    context.route("**/events*", lambda route: route.fulfill(status=204))  # needs ASGI, which the test server is not
    context.add_cookies([{"name": "sessionid", "value": cookie.value, "url": live_server.url}])
    return alice


@pytest.fixture
def editor(page: Page, live_server, signed_in, mailbox) -> Page:
    page.goto(f"{live_server.url}/mailboxes/{mailbox.pk}/settings/signature")
    expect(page.get_by_role("textbox", name="Signature")).to_be_visible()
    return page


def paste(page: Page, **formats: str) -> None:
    """Paste as a mail program would: text/html and text/rtf at once."""
    page.get_by_role("textbox", name="Signature").click()
    page.evaluate(
        """(formats) => {
            const transfer = new DataTransfer();
            for (const [name, text] of Object.entries(formats)) transfer.setData(`text/${name}`, text);
            document.querySelector(".ProseMirror").dispatchEvent(
                new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true }));
        }""",
        formats,
    )


def images_of(page: Page):
    return page.locator(".ProseMirror img:not(.ProseMirror-separator)")


@pytest.mark.proves("E9")
def test_a_signature_pasted_from_word_keeps_its_looks_and_both_images(editor, mailbox):
    paste(editor, html=WORD, rtf=RTF)
    expect(images_of(editor)).to_have_count(2)
    editor.get_by_label("Add signatures to outbound emails").check()
    editor.get_by_role("button", name="Save signature").click()
    expect(editor.get_by_text("The signature was saved.")).to_be_visible()
    html = Signature.objects.get().html
    assert "Calibri" in html
    assert "color:rgb(31,73,125)" in html.replace(" ", "")
    assert "mso-" not in html
    assert {bytes(image.content) for image in SignatureImage.objects.all()} == {RED, BLUE}
    expect(images_of(editor)).to_have_count(2)
    for number in range(2):
        expect(images_of(editor).nth(number)).to_have_js_property("naturalWidth", 120)


@pytest.mark.proves("E9")
def test_a_signature_pasted_from_gmail_keeps_its_table(editor, assert_accessible):
    paste(editor, html=GMAIL)
    expect(editor.locator(".ProseMirror td")).to_have_count(2)
    _look(editor, "signature")
    assert_accessible(editor)
    editor.get_by_role("button", name="Save signature").click()
    expect(editor.get_by_text("The signature was saved.")).to_be_visible()
    html = Signature.objects.get().html.replace(" ", "")
    assert "border-left:2pxsolidrgb(42,75,199)" in html
    assert "font-family:georgia,serif" in html
    assert '<ahref="mailto:alice@example.org">' in html
    assert 'width="96"' in html


def test_an_image_that_cannot_be_read_is_told(editor):
    paste(editor, html='<p>Alice</p><img src="file:///C:/logo.png">')
    expect(editor.get_by_text("An image could not be read from the clipboard.")).to_be_visible()
    expect(editor.locator(".ProseMirror")).to_contain_text("Alice")


def test_it_can_be_written_by_hand(editor):
    box = editor.get_by_role("textbox", name="Signature")
    box.click()
    editor.get_by_role("button", name="Bold").click()
    expect(editor.get_by_role("button", name="Bold")).to_have_attribute("aria-pressed", "true")
    expect(box).to_be_focused()  # again: a frame later
    editor.keyboard.type("Alice Brandt")
    editor.keyboard.press("Enter")
    editor.get_by_role("button", name="Link", exact=True).click()
    editor.get_by_label("Address").fill("example.org")
    editor.keyboard.press("Enter")
    with editor.expect_file_chooser() as chooser:
        editor.get_by_role("button", name="Insert an image").click()
    chooser.value.set_files([{"name": "logo.png", "mimeType": "image/png", "buffer": RED}])
    expect(images_of(editor)).to_have_count(1)
    editor.get_by_role("button", name="Save signature").click()
    expect(editor.get_by_text("The signature was saved.")).to_be_visible()
    html = Signature.objects.get().html
    assert "<strong>Alice Brandt</strong>" in html
    assert '<a href="https://example.org">example.org</a>' in html
    assert 'alt="logo"' in html


@pytest.mark.proves("E9")
def test_the_composer_shows_the_signature_and_sends_it(page, live_server, signed_in, mailbox, assert_accessible):
    User.objects.update(undo_seconds=0)
    signature.save(mailbox, f'<p>Alice Brandt</p><p><img src="{data_address(RED)}" alt="Logo"></p>', is_on=True)
    page.goto(f"{live_server.url}/mail/compose")
    frame = page.frame_locator("iframe[title='The signature, as readers see it']")
    expect(frame.get_by_text("Alice Brandt")).to_be_visible()
    _look(page, "composer")
    assert_accessible(page)
    page.get_by_label("To", exact=True).fill("bob@example.org")
    message_box(page).fill("Good morning")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("Queued.")).to_be_visible()
    mail = message_from_bytes(bytes(OutboxMessage.objects.get().raw), policy=policy.default)
    assert [part.get_content() for part in mail.walk() if part["Content-ID"]] == [RED]


@pytest.mark.proves("E9", "H3")
def test_two_pasted_images_arrive_with_the_mail(page, live_server, signed_in, sandbox, make_mailbox, alice):
    User.objects.update(undo_seconds=0)
    server = {f"{side}_host": f"{side}.sandbox.test" for side in ("imap", "smtp")}
    ports = {"imap_port": sandbox.imap_port, "smtp_port": sandbox.smtp_port}
    plain = {"imap_security": "none", "smtp_security": "none", "appends_sent": False}
    mailbox = make_mailbox(SUPPORT, alice, **server, **ports, **plain)
    mailbox.password = type(mailbox.password)(sandbox.password)
    mailbox.save()
    page.goto(f"{live_server.url}/mailboxes/{mailbox.pk}/settings/signature")
    expect(page.get_by_role("textbox", name="Signature")).to_be_visible()
    paste(page, html=WORD, rtf=RTF)
    expect(images_of(page)).to_have_count(2)
    page.get_by_label("Add signatures to outbound emails").check()
    page.get_by_role("button", name="Save signature").click()
    expect(page.get_by_text("The signature was saved.")).to_be_visible()
    page.goto(f"{live_server.url}/mail/compose")
    page.get_by_label("To", exact=True).fill(BOB)
    page.get_by_label("Subject").fill("With two pictures")
    message_box(page).fill("Good morning")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("Queued.")).to_be_visible()
    with sandbox.imap(BOB, "INBOX") as client:
        [uid] = client.search(["SUBJECT", "With two pictures"])
        received = message_from_bytes(client.fetch([uid], ["BODY.PEEK[]"])[uid][b"BODY[]"], policy=policy.default)
    inline = {part["Content-ID"].strip("<>"): part.get_content() for part in received.walk() if part["Content-ID"]}
    html = received.get_body(("html",)).get_content()
    assert re.findall(r'src="cid:([^"]+)"', html) == list(inline)
    assert list(inline.values()) == [RED, BLUE]


def test_in_the_composer_it_follows_the_account_and_can_be_taken_out(
    page, live_server, signed_in, mailbox, make_mailbox, alice
):
    signature.save(mailbox, "<p>Alice Brandt</p>", is_on=True)
    make_mailbox("other@example.org", alice, display_name="Other")
    page.goto(f"{live_server.url}/mail/compose?mailbox={mailbox.pk}")
    shown = page.locator("iframe[title='The signature, as readers see it']")
    expect(shown).to_be_visible()
    page.get_by_label("From").select_option("Other <other@example.org>")
    expect(shown).to_be_hidden()
    page.get_by_label("From").select_option("Alice <alice@example.org>")
    page.get_by_label("Signature").uncheck()
    expect(shown).to_be_hidden()


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_is_usable_by_everybody(page, live_server, signed_in, mailbox, folders, tab, assert_accessible):
    now = timezone.now()
    for number, words in enumerate(["3 new messages", "Nothing new", "The server cannot be reached"]):
        SyncRun.objects.create(
            mailbox=mailbox,
            started_at=now,
            ended_at=now,
            came_through=number < 2,
            words=words,
            count=1 + 11 * (number == 1),
        )
    page.goto(f"{live_server.url}/mailboxes/{mailbox.pk}/settings{tab}")
    expect(page.get_by_role("heading", name="alice@example.org settings", level=1)).to_be_visible()
    expect(
        page.get_by_role("navigation", name="Settings of alice@example.org").locator("[aria-current]")
    ).to_have_count(1)
    _look(page, f"tab{tab.replace('/', '-') or '-receive'}")
    assert_accessible(page)


@pytest.mark.proves("E7")
def test_choosing_a_parent_leaves_its_children_alone(page, live_server, signed_in, mailbox, folders):
    page.goto(f"{live_server.url}/mailboxes/{mailbox.pk}/settings/folders")
    page.get_by_text("Selected folders", exact=True).click()
    tree = page.get_by_role("group", name="Folders to download")
    for box in tree.get_by_role("checkbox").all():
        box.uncheck()
    tree.get_by_role("checkbox", name="Clients").check()
    expect(tree.get_by_role("checkbox", name="Acme")).not_to_be_checked()
    page.get_by_role("button", name="Save changes").click()
    expect(page.get_by_text("Saved. It counts from the next sync on.")).to_be_visible()
    assert list(mailbox.folders.filter(is_followed=True, is_selectable=True).values_list("name", flat=True)) == [
        "Work/Clients"
    ]


def test_typed_servers_are_tested_on_the_page_and_nothing_typed_is_lost(
    page, live_server, signed_in, sandbox, make_mailbox, alice
):
    plain = {"imap_host": "imap.sandbox.test", "imap_port": sandbox.imap_port, "imap_security": "none"}
    mailbox = make_mailbox(SUPPORT, alice, **plain, smtp_host="")
    page.goto(f"{live_server.url}/mailboxes/{mailbox.pk}/settings/advanced")
    form = page.locator("form[data-check]")
    form.get_by_label("Password").fill(sandbox.password)
    form.get_by_label("IMAP host").fill("imap host")
    form.get_by_role("button", name="Test connection").click()
    expect(form.locator("[aria-invalid=true]")).to_have_count(1)
    expect(form.get_by_label("Password")).to_have_value(sandbox.password)
    form.get_by_label("IMAP host").fill("imap.sandbox.test")
    form.get_by_role("button", name="Test connection").click()
    expect(form.locator("[data-check-verdict]")).to_be_visible()
    expect(form.locator("[aria-invalid=true]")).to_have_count(0)
    assert mailbox.imap_host == "imap.sandbox.test"


def _look(page: Page, name: str) -> None:
    """Keep a picture of the page, for people, where LOOK_AT names a folder."""
    if folder := os.environ.get("LOOK_AT"):
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.screenshot(path=Path(folder) / f"{name}-{scheme}.png", full_page=True)
        page.emulate_media(color_scheme=None, reduced_motion="reduce")
        size = page.viewport_size
        page.set_viewport_size({"width": 390, "height": 844})
        page.screenshot(path=Path(folder) / f"{name}-narrow.png", full_page=True)
        page.set_viewport_size(size)
