"""Lists: every row once, page by page, with as many queries for a hundred rows as for two."""

from __future__ import annotations

import pytest

from mailservers.models import MailServer
from tests.api.conftest import Api, fields
from tests.mailstore.panel.conftest import mail

pytestmark = pytest.mark.proves("L1")


def every(api: Api, path: str, **query: object) -> list[int]:
    """The keys of all rows, walked by `next`, two at a time."""
    found, cursor = [], ""
    asked = "&".join(f"{name}={value}" for name, value in {**query, "limit": 2}.items())
    while cursor is not None:
        page = api.get(f"{path}?{asked}&cursor={cursor}")
        assert page.status_code == 200, page.content
        assert set(page.data) == {"items", "next"}
        assert len(page.data["items"]) <= 2
        found += [item["id"] for item in page.data["items"]]
        cursor = page.data["next"]
    return found


@pytest.fixture
def rows(administrator, organization, make_mailbox, deliver, make_message):
    """`rows(n)`: n more of everything that the administrator may read."""
    mailbox = make_mailbox("ada@example.org", administrator)
    deliver(mailbox, mail("First"))
    made = {"/mail-servers": [], "/mailboxes": [mailbox.pk], "/messages": [mailbox.messages.get().pk], "/outbox": []}

    def more(number: int) -> dict[str, list[int]]:
        for count in range(number):
            name = f"n{len(made['/mail-servers'])}-{count}"
            server = MailServer.objects.create(organization=organization, name=name, host="smtp.example.org")
            made["/mail-servers"].append(server.pk)
            made["/mailboxes"].append(make_mailbox(f"{name}@example.org", administrator, mail_server=server).pk)
            made["/messages"].append(deliver(mailbox, mail(name)).pk)
            made["/outbox"].append(make_message(mailbox, administrator, "a@example.org", "b@example.org").pk)
        return made

    return more


def test_pages_show_every_row_once(api_of, administrator, rows):
    api, made = api_of(administrator), rows(5)
    for path in made:
        found = every(api, path)
        assert len(found) == len(set(found)), path
        assert set(found) == set(made[path]), path
    assert every(api, "/email-log") == every(api, "/outbox")


def test_the_number_of_queries_does_not_grow(api_of, administrator, rows, assert_queries):
    api = api_of(administrator)
    rows(2)
    paths = ("/mail-servers", "/mailboxes", "/messages", "/outbox", "/email-log", "/providers", "/provider-domains")

    def look() -> None:
        for path in paths:
            assert api.get(f"{path}?limit=100").status_code == 200

    assert_queries.constant(look, lambda: rows(4))


@pytest.mark.parametrize("cursor", ["x", "1", "-", "0-0-0", "1-2-3", "9" * 59])
def test_a_cursor_that_is_none_is_refused(api_of, administrator, cursor):
    assert fields(api_of(administrator).get(f"/mailboxes?cursor={cursor}")) == ["cursor"]


def test_a_made_up_cursor_leads_into_ones_own_list_only(api_of, administrator, alice, mailbox, deliver):
    deliver(mailbox, mail("Private"))
    far = "9999999999999999-999999999999999999"
    assert api_of(administrator).get(f"/messages?cursor={far}").data["items"] == []
    assert [one["subject"] for one in api_of(alice).get(f"/messages?cursor={far}").data["items"]] in ([], ["Private"])


@pytest.mark.parametrize("day", ["0.0", "86400", "2026-11-21T00:00", "21.11.2026", "%D9%A2026-11-21", "2026-02-30"])
@pytest.mark.parametrize("path", ["/email-log", "/audit-log"])
def test_what_is_no_day_is_refused_in_words(api_of, administrator, path, day):
    answer = api_of(administrator).get(f"{path}?until={day}")
    assert fields(answer) == ["until"]
    assert "Value error" not in answer.content.decode()


def test_a_parameter_that_is_given_twice_is_refused_by_its_name(api_of, alice):
    api = api_of(alice)
    assert fields(api.get("/messages?limit=2&limit=3")) == ["limit"]
    assert fields(api.get("/messages?q=a&q=a&limit=2")) == ["q"]
    assert api.get("/messages?limit=2&q=a").status_code == 200


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "colour=red"])
def test_other_questions_are_refused(api_of, administrator, query):
    assert fields(api_of(administrator).get(f"/mailboxes?{query}")) == [query.partition("=")[0]]
