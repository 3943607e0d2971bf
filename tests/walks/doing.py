"""What people do in the product, by the words that they see."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.servers.browser import message_box

SLOW = 90_000  # milliseconds: what a worker does while two cores are busy


def sign_in(page: Page, url: str, email: str, password: str) -> None:
    page.goto(f"{url}/account/login/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda address: "/account/login" not in address)


def begin_to_connect(page: Page, url: str, address: str) -> None:
    """From the settings page to the question for the password, or for the provider."""
    page.goto(f"{url}/communications/settings/email")
    page.get_by_role("link", name="Connect a mailbox").first.click()
    page.get_by_label("Email address").fill(address)
    page.get_by_role("button", name="Next").click()


def connect(page: Page, url: str, address: str, password: str) -> None:
    """Connect a mailbox whose provider is recognised."""
    begin_to_connect(page, url, address)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Connect", exact=True).click()
    expect(page.get_by_role("heading", name=f"{address} is connected")).to_be_visible(timeout=SLOW)


def download(page: Page) -> None:
    """From the page that says "connected" to the newest mail."""
    page.get_by_role("button", name="Download mail now").click()
    expect(page).to_have_url(re.compile(r"/mail/\d+/$"))
    expect(page.locator(".conversation").first).to_be_visible(timeout=SLOW)


def open_mailbox(page: Page, address: str) -> None:
    """By the side bar."""
    page.get_by_role("complementary", name="Side bar").get_by_role("link", name=address).click()
    expect(page.get_by_role("navigation", name=f"Folders of {address}")).to_be_visible()


def row_of(page: Page, subject: str) -> Locator:
    """The line of a conversation in the list."""
    return page.locator(".conversation").filter(has=page.locator(".subject", has_text=subject))


def open_conversation(page: Page, subject: str) -> None:
    row_of(page, subject).first.click()
    expect(page.get_by_role("heading", level=1, name=subject)).to_be_visible()


def sync(page: Page, address: str) -> None:
    page.get_by_role("button", name=f"Sync {address} now").click()


def write(page: Page, url: str, to: str, subject: str, text: str) -> None:
    """Fill in a new message; whether and how it is sent is up to the caller."""
    page.goto(f"{url}/mail/compose")
    page.get_by_label("To", exact=True).fill(to)
    page.get_by_label("Subject").fill(subject)
    message_box(page).fill(text)


def send(page: Page) -> None:
    """Press Send, and follow the bar into the log."""
    subject = page.get_by_label("Subject").input_value()
    page.get_by_role("button", name="Send", exact=True).click()
    follow_into_the_log(page, subject)


def follow_into_the_log(page: Page, subject: str) -> None:
    """By the line of the bar about this mail; one about an earlier mail may stand above it."""
    line = page.locator("#undo-bar [data-undo-line]").filter(has=page.locator(".what", has_text=subject))
    line.first.get_by_role("link", name="See it").click()
    expect(page).to_have_url(re.compile(r"/logs/email/\d+$"))


def verdict(page: Page) -> Locator:
    """The state on the page of a sent message."""
    return page.get_by_role("region", name="State")


def recipients(page: Page) -> Locator:
    return page.get_by_role("region", name="Recipients")


def attempts(page: Page) -> Locator:
    return page.get_by_role("region", name="Attempts")


def tries(page: Page) -> Locator:
    """One for each attempt."""
    return attempts(page).get_by_role("listitem")


def copy_in_sent(page: Page) -> Locator:
    """The line about the copy on the page of a sent message."""
    return page.get_by_role("region", name="About", exact=True).locator("div").filter(has_text="Copy in Sent")


def servers_words(place: Locator) -> Locator:
    """Open "What the server said" and return the words."""
    place.get_by_text("What the server said").first.click()
    return place.locator("pre").first


def save_attachment(page: Page, name: str) -> bytes:
    """The octets that the browser saved."""
    with page.expect_download() as saving:
        page.get_by_role("link", name=name).click()
    assert saving.value.suggested_filename == name
    return Path(saving.value.path()).read_bytes()


# --- The steps of a check, which are gone when the page moves on -------------------------------------------------


def note_steps(page: Page) -> None:
    """From now on write down each step of a check in the moment it shows."""
    page.evaluate(
        """() => new MutationObserver(() => {
            const steps = [...document.querySelectorAll("[data-check-steps] li")];
            const words = steps.map((step) => step.textContent.replace(/\\s+/g, " ").trim());
            sessionStorage.setItem("steps", JSON.stringify([...JSON.parse(sessionStorage.steps ?? "[]"), ...words]));
        }).observe(document.body, {childList: true, subtree: true})"""
    )


def noted_steps(page: Page) -> str:
    """What was written down, in one text."""
    return page.evaluate("sessionStorage.steps ?? ''")
