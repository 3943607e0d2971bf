"""Mail that is not simply taken: refused, deferred, pressed twice, and waiting while its worker is killed."""

from __future__ import annotations

import os
import re
import signal

import pytest
from playwright.sync_api import Page, expect

from tests.servers.browser import message_box
from tests.servers.processes import wait_until
from tests.servers.product import Product
from tests.walks import doing
from tests.walks.sandbox import SandboxMail

ALICE, BOB = "alice@sandbox.test", "bob@sandbox.test"
LATER, SUPPORT = "later@sandbox.test", "support@sandbox.test"  # what later@ takes in the end lies in support@
ELSEWHERE = "nobody@elsewhere.example"  # the sandbox delivers only to itself, which says nothing about the address
TWICE, KILLED = "Pressed more than once.", "Written while nobody was there to send it."
NEXT_TRY = re.compile(r"Queued\s+next try\s+in")
SWEPT = 2 * doing.SLOW  # milliseconds: until a new worker has started and what the old one lost is found


@pytest.fixture(scope="module")
def product(live_product: Product) -> Product:
    return live_product


@pytest.fixture(scope="module")
def mail(product: Product) -> SandboxMail:
    """The mailboxes as another program sees them."""
    return SandboxMail(product)


def test_a_mailbox_is_connected(product: Product, tab: Page):
    doing.sign_in(tab, product.url, product.email, product.password)
    doing.connect(tab, product.url, ALICE, product.sandbox_password)


@pytest.mark.proves("I3")
def test_what_is_deferred_waits_and_says_until_when(product: Product, tab: Page, look_at):
    doing.write(tab, product.url, LATER, "Deferred", "Try again.")
    doing.send(tab)
    expect(doing.verdict(tab)).to_contain_text("wants to see whether we come back", timeout=doing.SLOW)
    expect(doing.verdict(tab)).to_contain_text(NEXT_TRY)
    expect(doing.servers_words(doing.recipients(tab))).to_contain_text("451 4.7.1 Try again in")
    look_at(tab)


@pytest.mark.proves("D2", "I3")
def test_an_address_that_does_not_exist_fails_at_once(product: Product, tab: Page, look_at):
    doing.write(tab, product.url, "nobody@sandbox.test", "To nobody", "Is somebody there?")
    doing.send(tab)
    expect(doing.verdict(tab)).to_contain_text("Failed", timeout=doing.SLOW)
    expect(doing.verdict(tab)).to_contain_text("The recipient's address does not exist.")
    expect(doing.verdict(tab)).to_contain_text("Write a new mail to the right address.")
    expect(doing.servers_words(doing.recipients(tab))).to_contain_text("550 5.1.1 There is no such person here")
    expect(doing.tries(tab)).to_have_count(1)
    look_at(tab)


@pytest.mark.proves("I3")
def test_a_full_mailbox_is_tried_again_until_somebody_cancels(product: Product, tab: Page):
    doing.write(tab, product.url, "full@sandbox.test", "To a full mailbox", "Is there room?")
    doing.send(tab)
    expect(doing.verdict(tab)).to_contain_text("The recipient's mailbox is full.", timeout=doing.SLOW)
    expect(doing.verdict(tab)).to_contain_text(NEXT_TRY)
    expect(doing.servers_words(doing.recipients(tab))).to_contain_text("552 5.2.2 The mailbox is full")
    tab.get_by_role("button", name="Cancel").click()
    expect(tab.get_by_text("Cancelled. Nothing more is sent.")).to_be_visible()
    expect(doing.verdict(tab)).to_contain_text("Cancelled")
    expect(doing.verdict(tab)).not_to_contain_text("next try")


@pytest.mark.proves("I3", "R18")
def test_one_bad_address_does_not_hold_up_the_good_one(product: Product, tab: Page, mail: SandboxMail):
    doing.write(tab, product.url, f"{BOB}, {ELSEWHERE}", "To two", "One of you gets this.")
    doing.send(tab)
    expect(doing.verdict(tab)).to_contain_text("Failed", timeout=doing.SLOW)
    [bob, nobody] = [doing.recipients(tab).get_by_role("listitem").filter(has_text=each) for each in (BOB, ELSEWHERE)]
    expect(bob).to_contain_text("Sent")
    expect(nobody).to_contain_text("Failed")
    tab.get_by_text("Send again to those who failed").click()
    tab.get_by_role("button", name="Yes, send it").click()
    expect(tab.get_by_text("Queued again.")).to_be_visible()
    expect(doing.tries(tab)).to_have_count(2, timeout=doing.SLOW)
    expect(doing.verdict(tab)).to_contain_text("Failed", timeout=doing.SLOW)
    assert mail.count(BOB, "INBOX", "One of you gets this.") == 1


@pytest.mark.proves("I4")
def test_pressing_send_again_and_again_sends_once(product: Product, tab: Page, mail: SandboxMail):
    doing.write(tab, product.url, BOB, "Twice", TWICE)
    send = tab.get_by_role("button", name="Send", exact=True)
    send.evaluate("button => { button.click(); button.click(); }")
    message_box(tab).press("Control+Enter")
    doing.follow_into_the_log(tab, "Twice")
    expect(doing.verdict(tab)).to_contain_text("Sent", timeout=doing.SLOW)
    tab.get_by_role("link", name="Email log").first.click()
    expect(tab.locator(".log-row").filter(has_text="Twice")).to_have_count(1)
    assert mail.count(BOB, "INBOX", TWICE) == 1


@pytest.mark.proves("I9")
def test_sending_once_more_makes_a_second_message(tab: Page, mail: SandboxMail):
    tab.get_by_role("link", name="Twice").click()
    first = tab.url
    tab.get_by_text("Send once more").click()
    tab.get_by_role("button", name="Yes, send it").click()
    expect(tab.get_by_text("Queued once more, as a new message.")).to_be_visible()
    assert tab.url != first
    expect(doing.verdict(tab)).to_contain_text("Sent", timeout=doing.SLOW)
    expect(tab.get_by_text("Copy of", exact=True)).to_be_visible()
    assert mail.count(BOB, "INBOX", TWICE) == 2


@pytest.mark.proves("I3")
def test_what_was_deferred_is_taken_at_the_next_try(product: Product, tab: Page, mail: SandboxMail):
    """Before the worker is killed: what it is sending at that moment would wait for the end of its lease."""
    wait_until(lambda: mail.takes(ALICE, LATER), f"readiness of {LATER}", seconds=60, pause=0.5)
    tab.goto(f"{product.url}/logs/email")
    tab.get_by_role("link", name="Deferred", exact=True).click()
    expect(doing.verdict(tab)).to_be_visible()
    if tab.get_by_role("button", name="Try now").is_visible():  # or a very slow machine has come to it by itself
        tab.get_by_role("button", name="Try now").click()
    expect(doing.verdict(tab)).to_contain_text("Sent", timeout=doing.SLOW)
    expect(doing.tries(tab)).to_have_count(2)
    assert mail.count(SUPPORT, "INBOX", "Try again.") == 1


@pytest.mark.proves("R2", "R27")
def test_mail_that_waits_for_a_killed_worker_goes_out_once(product: Product, tab: Page, mail: SandboxMail):
    workers = _sending_workers(product)
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)  # so that the mail is surely still waiting
    doing.write(tab, product.url, BOB, "Killed", KILLED)
    doing.send(tab)
    expect(doing.verdict(tab)).to_contain_text("Queued")
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    expect(doing.verdict(tab)).to_contain_text("Sent", timeout=SWEPT)
    expect(doing.tries(tab)).to_have_count(1)
    assert not set(workers) & set(_sending_workers(product))
    assert mail.count(BOB, "INBOX", KILLED) == 1


@pytest.mark.proves("I9")
def test_the_log_is_filtered_by_what_became_of_it(product: Product, tab: Page):
    tab.goto(f"{product.url}/logs/email")
    tab.get_by_label("State").select_option("Failed")
    tab.get_by_role("button", name="Filter").click()
    expect(tab).to_have_url(re.compile(r"[?&]state=failed\b"))
    failed = [re.compile(f"Failed.*{subject}", re.DOTALL) for subject in ("To two", "To nobody")]
    expect(tab.locator(".log-row")).to_contain_text(failed)  # newest first, and no others


def _sending_workers(product: Product) -> list[int]:
    """The worker that sends, with the process that it forked."""
    return [pid for pid, command in product.processes().items() if "celery" in command and "send@" in command]
