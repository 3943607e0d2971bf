"""The page of API tokens in a real browser: whoever is impatient gets one token, and reads it."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from organizations.models import ApiToken

pytestmark = pytest.mark.django_db(transaction=True)


def test_pressing_again_while_the_answer_is_awaited_makes_no_second_token(
    page: Page, context: BrowserContext, live_server, client_of, alice
):
    cookie = client_of(alice).cookies["sessionid"]
    context.add_cookies([{"name": "sessionid", "value": cookie.value, "url": live_server.url}])
    page.goto(f"{live_server.url}/profile/tokens")
    awaited: list[Route] = []
    page.route("**/profile/tokens", lambda route: awaited.append(route))
    page.get_by_label("Name", exact=True).fill("Web shop")
    page.get_by_label("Read and search mail").check()
    button = page.get_by_role("button", name="Make the token")
    presses = "button => [100, 400].forEach((wait) => setTimeout(() => button.form.requestSubmit(button), wait))"
    with page.expect_request("**/profile/tokens"):
        button.evaluate(presses)
    page.wait_for_timeout(800)
    assert len(awaited) == 1
    awaited[0].continue_()
    expect(page.get_by_text("“Web shop” was made.")).to_be_visible()
    assert page.get_by_label("Token", exact=True).input_value().startswith(ApiToken.objects.get().prefix)


def test_a_form_that_was_refused_is_sent_again(page: Page, context: BrowserContext, live_server, client_of, alice):
    cookie = client_of(alice).cookies["sessionid"]
    context.add_cookies([{"name": "sessionid", "value": cookie.value, "url": live_server.url}])
    page.goto(f"{live_server.url}/profile/tokens")
    page.get_by_role("button", name="Make the token").click()
    expect(page.get_by_text("Tick at least one thing")).to_be_visible()
    page.go_back()
    page.get_by_label("Name", exact=True).fill("Web shop")
    page.get_by_label("Read and search mail").check()
    page.get_by_role("button", name="Make the token").click()
    expect(page.get_by_text("“Web shop” was made.")).to_be_visible()
