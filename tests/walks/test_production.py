"""The same walk on what docker-compose.yml starts: PostgreSQL, Valkey, each part on its own, HTTPS in front."""

from __future__ import annotations

from email.message import EmailMessage

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.servers.compose import Composed
from tests.walks.test_dovecot_and_postfix import (  # noqa: F401  its people and its steps, in its order
    alice,
    bob,
    letter,
    test_it_arrives_once_as_an_answer_and_its_copy_lies_in_sent_once,
    test_servers_typed_by_hand_connect,
    test_the_answer_goes_through_postfix_and_the_log_has_its_words,
    test_the_letter_is_read_and_the_server_has_noticed_nothing,
)


@pytest.fixture(scope="module")
def product(production: Composed, letter: EmailMessage) -> Composed:  # noqa: F811
    return production


@pytest.fixture(scope="module")
def tab(browser_of_the_walk: BrowserContext) -> Page:
    """The browser says what the proxy in front would say."""
    browser_of_the_walk.set_extra_http_headers({"X-Forwarded-Proto": "https"})
    return browser_of_the_walk.new_page()
