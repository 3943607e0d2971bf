"""The same walk on what docker-compose.yml starts: PostgreSQL, Valkey, each part on its own, HTTPS in front."""

from __future__ import annotations

from collections.abc import Iterator
from email.message import EmailMessage

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.servers.compose import Composed, running_production
from tests.servers.dovecot import Dovecot
from tests.servers.postfix import Postfix
from tests.servers.processes import private_folder
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
def product(dovecot: Dovecot, postfix: Postfix, letter: EmailMessage) -> Iterator[Composed]:  # noqa: F811
    with private_folder("es-compose-") as folder:
        authorities = folder / "authorities.pem"
        authorities.write_text(dovecot.ca_pem + postfix.ca_pem)
        with running_production(
            folder,
            EMAILSETTINGS_EXTRA_CA_FILE=str(authorities),
            EMAILSETTINGS_DIAL_NETWORKS="127.0.0.0/8",
            EMAILSETTINGS_DIAL_PORTS=f"{dovecot.tls_port},{postfix.submission_port}",
        ) as running:
            yield running


@pytest.fixture(scope="module")
def tab(browser_of_the_walk: BrowserContext) -> Page:
    """The browser says what the proxy in front would say."""
    browser_of_the_walk.set_extra_http_headers({"X-Forwarded-Proto": "https"})
    return browser_of_the_walk.new_page()
