"""A newcomer types ./run, opens the link, connects a mailbox, reads, answers, and finds the answer in the log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.servers.browser import message_box
from tests.servers.processes import wait_until
from tests.servers.product import Product, running_product
from tests.walks import doing
from tests.walks.sandbox import SandboxMail

ALICE, BOB = "alice@sandbox.test", "bob@sandbox.test"
NEWSLETTER, PICTURE = "The Freewheel 118", "croissant-saddle.png"
ANSWERED = "Rims for Citywheel: two are not round"
ANSWER = "Good news: the two spare rims come with the morning van."


@pytest.fixture(scope="module")
def product(state_folder: Path) -> Iterator[Product]:
    """Nothing is prepared: no administrator, no mailbox."""
    with running_product(state_folder, EMAILSETTINGS_ADMIN_EMAIL="", EMAILSETTINGS_ADMIN_PASSWORD="") as running:
        wait_until(lambda: "is running at" in running.output, "greeting of ./run")
        yield running


@pytest.fixture(scope="module")
def mail(product: Product) -> SandboxMail:
    """The mailboxes as another program sees them."""
    return SandboxMail(product)


def test_the_link_makes_the_first_administrator(product: Product, tab: Page, look_at):
    [link] = re.findall(r"http://\S+/setup/\S+", product.output)
    tab.goto(link)
    look_at(tab)
    tab.get_by_label("Organization").fill("Tandem Lane")
    tab.get_by_label("Your name").fill("Alice Brandt")
    tab.get_by_label("Email").fill("alice.brandt@example.org")
    tab.get_by_label("Password").fill("a bell is a short talk")
    tab.get_by_role("button", name="Start").click()
    tab.wait_for_url(f"{product.url}/communications/settings/email")


def test_the_empty_page_says_what_to_do(tab: Page, look_at):
    expect(tab.get_by_role("heading", name="No email account yet")).to_be_visible()
    expect(tab.get_by_text("Connect your own mailbox in two minutes")).to_be_visible()
    expect(tab.get_by_role("heading", name="No mail server yet")).to_be_visible()
    look_at(tab)
    tab.get_by_role("link", name="Connect a mailbox").first.click()
    look_at(tab)


@pytest.mark.proves("E1")
def test_the_address_is_recognised_and_the_hint_tells_the_password(product: Product, tab: Page, look_at):
    tab.get_by_label("Email address").fill(ALICE)
    tab.get_by_role("button", name="Next").click()
    expect(tab.get_by_role("heading", name="Sandbox")).to_be_visible()
    expect(tab.get_by_text(product.sandbox_password)).to_be_visible()
    expect(tab.get_by_label("Your name")).to_have_value("Alice Brandt")
    look_at(tab)


@pytest.mark.proves("D1", "E1")
def test_a_wrong_password_ends_in_a_sentence_and_loses_nothing(tab: Page, look_at):
    tab.get_by_label("Your name").fill("Alice of Tandem Lane")
    tab.get_by_label("Password").fill("maple-otter-0000")
    tab.get_by_role("button", name="Connect", exact=True).click()
    for part in ("Reading mail", "Sending mail"):
        judged = tab.locator("[data-check-part]").filter(has_text=part)
        expect(judged.locator("[data-check-verdict]")).to_contain_text("password")
        expect(judged.get_by_role("listitem").filter(has_text="Connection")).to_contain_text("ms")
    expect(tab.get_by_label("Your name")).to_have_value("Alice of Tandem Lane")
    expect(tab.get_by_label("Password")).to_have_value("maple-otter-0000")
    look_at(tab)


@pytest.mark.proves("D1", "E1", "E2")
def test_the_right_password_connects_step_by_step(product: Product, tab: Page, look_at):
    doing.note_steps(tab)
    tab.get_by_label("Password").fill(product.sandbox_password)
    tab.get_by_role("button", name="Connect", exact=True).click()
    expect(tab.get_by_role("heading", name=f"{ALICE} is connected")).to_be_visible()
    for step in ("Connection", "Greeting", "Sign-in", "Folders", "Inbox", "Sender"):
        assert f"Passed: {step}" in doing.noted_steps(tab)
    expect(tab.get_by_text(re.compile(r"That is about \d+ messages, .*\d.(KB|MB)"))).to_be_visible()
    expect(tab.get_by_role("link", name="More settings")).to_be_visible()
    look_at(tab)


@pytest.mark.proves("E2", "E10", "E11")
def test_the_download_shows_the_newest_mail_and_the_card_follows(product: Product, tab: Page, look_at):
    settings = tab.context.new_page()
    settings.goto(f"{product.url}/communications/settings/email")
    card = settings.get_by_role("article").filter(has_text=ALICE)
    doing.download(tab)
    expect(tab.locator(".conversation").first).to_contain_text("Welcome to the sandbox")
    look_at(tab)
    expect(card).to_contain_text("Connected, synced", timeout=doing.SLOW)
    expect(card.locator(".spin")).to_have_count(0)
    look_at(settings)
    settings.close()


@pytest.mark.proves("H2", "T11")
def test_an_html_letter_shows_in_its_frame_and_fetches_nothing(tab: Page, look_at):
    doing.open_conversation(tab, NEWSLETTER)
    frame = tab.frame_locator("iframe[title='Message of The Freewheel']")
    expect(frame.get_by_role("heading", name="Why your commute needs a bell")).to_be_visible()
    expect(tab.get_by_text("not loaded, so the sender does not learn that you read this")).to_be_visible()
    look_at(tab)


@pytest.mark.proves("H2", "V3")
def test_an_attachment_is_saved_as_it_was_sent(tab: Page, mail: SandboxMail, look_at):
    doing.open_conversation(tab, "Photos for the shop")
    tab.locator("summary").filter(has_text="Here is the first picture").click()
    sent = mail.attachment(ALICE, "Photos for the shop", PICTURE)
    assert sent.startswith(b"\x89PNG")
    assert doing.save_attachment(tab, PICTURE) == sent
    look_at(tab)


@pytest.mark.proves("H1")
def test_a_word_is_found(tab: Page, look_at):
    tab.get_by_role("searchbox").fill("croissant")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("heading", name="Found")).to_be_visible()
    expect(doing.row_of(tab, "Photos for the shop").first).to_be_visible()
    look_at(tab)


def test_a_second_mailbox_is_connected(product: Product, tab: Page):
    doing.connect(tab, product.url, BOB, product.sandbox_password)
    doing.download(tab)
    doing.open_conversation(tab, ANSWERED)


@pytest.mark.proves("I1", "I2")
def test_an_answer_is_sent_and_the_log_has_the_servers_words(tab: Page, look_at):
    doing.open_mailbox(tab, ALICE)
    doing.open_conversation(tab, ANSWERED)
    tab.locator(".reply-bar").get_by_role("link", name="Reply").click()
    expect(tab.get_by_label("To", exact=True)).to_have_value(re.compile(BOB))
    expect(tab.get_by_label("Subject")).to_have_value(f"Re: {ANSWERED}")
    expect(message_box(tab)).to_be_focused()
    look_at(tab)
    tab.keyboard.type(ANSWER)
    doing.send(tab)
    expect(doing.verdict(tab)).to_contain_text("Sent", timeout=doing.SLOW)
    expect(doing.servers_words(doing.attempts(tab))).to_contain_text(re.compile("250 2.0.0 Delivered as"))
    look_at(tab)
    tab.get_by_role("link", name="Email log").first.click()
    expect(tab.locator(".log-row").filter(has_text=ANSWERED)).to_contain_text("Sent")
    look_at(tab)


@pytest.mark.proves("I6")
def test_the_copy_lies_in_the_sent_folder_once(tab: Page, mail: SandboxMail):
    tab.get_by_role("link", name=f"Re: {ANSWERED}").click()
    expect(doing.copy_in_sent(tab)).to_contain_text("Filed", timeout=doing.SLOW)
    assert mail.count(ALICE, "Sent", ANSWER) == 1


@pytest.mark.proves("E10", "G1", "G3")
def test_the_answer_arrives_by_itself_in_its_conversation_in_the_other_mailbox(tab: Page, mail: SandboxMail):
    doing.open_mailbox(tab, BOB)
    expect(doing.row_of(tab, ANSWERED).first).to_contain_text("Good news", timeout=doing.SLOW)
    expect(doing.row_of(tab, ANSWERED)).to_have_count(1)
    doing.open_conversation(tab, ANSWERED)
    answer = tab.locator("article.message").last.frame_locator("iframe")
    expect(answer.get_by_text(ANSWER)).to_be_visible()
    doing.sync(tab, BOB)
    assert mail.count(BOB, "INBOX", ANSWER) == 1


def test_signing_out_closes_the_door(product: Product, tab: Page):
    tab.get_by_role("complementary", name="Side bar").get_by_text("Alice Brandt").click()
    tab.get_by_role("button", name="Sign out").click()
    expect(tab.get_by_role("heading", name="Sign in")).to_be_visible()
    tab.goto(f"{product.url}/mail/")
    expect(tab.get_by_role("heading", name="Sign in")).to_be_visible()
