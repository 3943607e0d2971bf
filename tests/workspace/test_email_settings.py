"""The settings page: numbers, cards, states, and who sees what."""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta
from itertools import product

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox, MailboxGrant, State
from emailsettings.account_cards import card_of, count_states
from mailservers.models import MailServer
from mailstore.models import SyncSchedule
from tests.accounts.forms import Answer, answer_of

PAGE = "email-settings"


@pytest.fixture
def show(client_of):
    """`show(user, "?show=attention")`: the settings page."""
    return lambda user, query="": answer_of(client_of(user).get(reverse(PAGE) + query))


def schedule(mailbox: Mailbox, **fields: object) -> None:
    SyncSchedule.objects.filter(mailbox=mailbox).update(**fields)


def connected(mailbox: Mailbox) -> None:
    now = timezone.now()
    schedule(mailbox, finished_at=now - timedelta(minutes=2), due_at=now + timedelta(minutes=3))


def number(answer: Answer, label: str) -> int:
    """The number under a label of the overview."""
    return int(answer.words.split(label, 1)[1].split()[0])


# --- Who sees what ----------------------------------------------------------------------------------------------


@pytest.mark.proves("B1")
def test_the_page_shows_servers_and_accounts_with_an_overview(show, administrator, mailbox, shared_mailbox):
    MailServer.objects.create(organization=administrator.organization, name="Production", host="smtp.example.org")
    words = show(administrator).words
    for text in ("Connected", "Need attention", "Sent in 24 h", "Mail servers", "Production", "Email accounts"):
        assert text in words
    assert "alice@example.org" in words
    assert "sales@example.org" in words


def test_people_see_their_own_accounts_and_those_shared_with_them(show, mailbox, shared_mailbox, alice, bob, charlie):
    assert "sales@example.org" in show(alice).words
    assert "alice@example.org" in show(alice).words
    assert "sales@example.org" in show(bob).words
    assert "alice@example.org" not in show(bob).words
    assert "No email account yet" in show(charlie).words


def test_the_empty_page_looks_again_at_any_news_since_somebody_may_share_an_account(client_of, alice, charlie, mailbox):
    section = re.compile(r'id="email-accounts"[^>]*hx-trigger="([^"]*)"')
    triggers = [section.search(client_of(user).get(reverse(PAGE)).content.decode()) for user in (alice, charlie)]
    assert ["live from:document" in found[1] for found in triggers if found] == [False, True]


@pytest.mark.parametrize("page", [PAGE, "mailstore:mail", "delivery:compose"])
def test_the_way_to_the_wizard_has_one_name_on_every_empty_page(client_of, charlie, page):
    answer = client_of(charlie).get(reverse(page)).content.decode()
    links = re.findall(rf'<a class="button[^>]*href="{reverse("accounts:wizard")}".*?</a>', answer, re.DOTALL)
    assert links
    assert {re.sub(r"<[^>]*>", "", link).strip() for link in links} == {"Connect a mailbox"}


def test_the_head_of_the_settings_page_offers_the_wizard_before_there_is_any_account(client_of, charlie):
    answer = client_of(charlie).get(reverse(PAGE)).content.decode()
    head = answer[answer.index("page-head") : answer.index("overview")]
    assert f'href="{reverse("accounts:wizard")}"' in head


@pytest.mark.proves("A1")
def test_another_organization_sees_none_of_it(show, client_of, dana, mailbox):
    assert "example.org" not in show(dana).words
    assert client_of(dana).get(reverse("email-settings-mailbox", args=[mailbox.pk])).status_code == 404


def test_only_whoever_may_change_an_account_gets_the_buttons(show, shared_mailbox, alice, bob):
    edit = reverse("accounts:edit", args=[shared_mailbox.pk])
    assert edit in show(alice).text
    assert edit not in show(bob).text
    assert reverse("accounts:create") not in show(alice).text


@pytest.mark.proves("F2", "E12")
def test_only_whoever_may_delete_an_account_gets_the_button(show, shared_mailbox, mailbox, alice, administrator):
    delete_shared, delete_own = (reverse("accounts:delete", args=[one.pk]) for one in (shared_mailbox, mailbox))
    assert delete_own in show(alice).text
    assert delete_shared not in show(alice).text
    assert delete_shared in show(administrator).text


def test_a_right_that_ends_takes_the_card_away(client_of, shared_mailbox, bob):
    card = reverse("email-settings-mailbox", args=[shared_mailbox.pk])
    assert client_of(bob).get(card).status_code == 200
    MailboxGrant.objects.filter(user=bob).update(ends_at=timezone.now())
    assert client_of(bob).get(card).status_code == 404


def test_nobody_without_a_session_sees_the_page(client, db):
    assert client.get(reverse(PAGE)).status_code == 302


# --- States -----------------------------------------------------------------------------------------------------


@pytest.mark.proves("E11")
def test_a_synced_account_is_connected(show, alice, mailbox):
    connected(mailbox)
    answer = show(alice)
    assert "Connected, synced 2 minutes ago" in answer.words
    assert number(answer, "Connected") == 1


@pytest.mark.proves("E11")
def test_a_running_sync_shows_folder_progress_rate_and_time_left(show, alice, mailbox):
    now = timezone.now()
    schedule(
        mailbox,
        leased_until=now + timedelta(minutes=1),
        started_at=now - timedelta(seconds=10),
        folder_name="Archive/2024",
        done=8_412,
        total=20_113,
    )
    answer = show(alice)
    assert "Archive/2024: 8,412 of 20,113" in answer.words
    assert "per second, about 1" in answer.words
    assert 'class="icon spin"' in answer.text or "spin" in answer.text
    assert number(answer, "Syncing now") == 1


@pytest.mark.proves("E11")
def test_a_waiting_account_says_for_what_and_until_when(show, alice, mailbox):
    schedule(mailbox, waiting_for="the server does not answer", due_at=timezone.now() + timedelta(minutes=4))
    words = show(alice).words
    assert "Waiting: the server does not answer" in words
    assert "Next try in 4 minutes" in words


@pytest.mark.proves("E11", "D4")
def test_a_login_that_was_refused_once_says_so_at_once_and_offers_the_fix(show, alice, administrator, mailbox):
    schedule(mailbox, waiting_for="The password is wrong.", due_at=timezone.now() + timedelta(minutes=10))
    Mailbox.objects.update(login_refusals=1)
    answer = show(alice)
    assert "The password is wrong. It is tried once more in 10 minutes" in answer.words
    assert "then this account pauses. Fix" in answer.words
    assert "Waiting:" not in answer.words
    Mailbox.objects.update(login_refusals=0)
    assert "Waiting: The password is wrong." in show(alice).words


@pytest.mark.proves("E11")
def test_trouble_comes_with_its_cure_as_a_button(show, alice, mailbox):
    cause = {"cause": "It was changed.", "cure": "Type the new app password."}
    since = timezone.now() - timedelta(days=2)
    Mailbox.objects.update(
        attention={"title": "Google asks for an app password.", "causes": [cause]}, attention_since=since
    )
    answer = show(alice)
    assert "Google asks for an app password. Type the new app password." in answer.words
    assert "Began 2 days ago" in answer.words
    assert "still send" not in answer.words  # with the same login as it reads
    assert f'hx-get="{reverse("accounts:edit", args=[mailbox.pk])}"' in answer.text
    assert number(answer, "Need attention") == 1


def test_a_troubled_account_that_sends_through_a_mail_server_says_that_it_still_does(
    show, alice, mailbox, organization
):
    server = MailServer.objects.create(organization=organization, name="Relay", host="relay.example.org")
    Mailbox.objects.update(mail_server=server, attention={"title": "Odd"}, attention_since=timezone.now())
    assert "It can still send." in show(alice).words


@pytest.mark.parametrize("attention", [{}, {"title": "Odd"}, {"title": "Odd", "causes": []}])
def test_a_diagnosis_without_causes_still_shows(show, alice, mailbox, attention):
    Mailbox.objects.update(attention={"code": "odd", **attention})
    assert "Fix" in show(alice).words


@pytest.mark.proves("E11")
def test_a_paused_account_says_so(show, alice, mailbox):
    connected(mailbox)
    Mailbox.objects.update(paused_at=timezone.now())
    answer = show(alice)
    assert "Paused" in answer.words
    assert number(answer, "Paused") == 1


@pytest.mark.proves("E10")
def test_a_finished_sync_says_what_came(show, alice, mailbox):
    connected(mailbox)
    schedule(mailbox, arrived=12)
    assert "12 new messages in the last sync" in show(alice).words
    schedule(mailbox, arrived=1)
    assert "1 new message in the last sync" in show(alice).words


@pytest.mark.proves("E10")
def test_asking_for_a_sync_turns_the_icon_until_it_ends(show, client_of, alice, mailbox):
    connected(mailbox)
    assert "spin" not in show(alice).text.split(f'id="mailbox-{mailbox.pk}"')[1]
    assert client_of(alice).post(reverse("mailstore:sync", args=[mailbox.pk])).status_code < 400
    assert "Syncs in a moment" in show(alice).words
    assert "spin" in show(alice).text.split(f'id="mailbox-{mailbox.pk}"')[1]


def test_an_account_that_cannot_send_says_why(show, alice, mailbox):
    Mailbox.objects.update(smtp_host="")
    assert "Cannot send: no mail server is chosen" in show(alice).words
    Mailbox.objects.update(smtp_host="smtp.example.org", sends=False)
    assert "Sending is switched off" in show(alice).words


def test_names_of_markup_are_shown_as_text(show, alice, mailbox):
    Mailbox.objects.update(display_name="<img src=x onerror=alert(1)>")
    schedule(mailbox, waiting_for="<b>bold</b>", due_at=timezone.now() + timedelta(minutes=4))
    text = show(alice).text
    assert "<img src=x" not in text
    assert "<b>bold" not in text


# --- Numbers that lead somewhere --------------------------------------------------------------------------------


def test_each_number_leads_to_the_accounts_it_counts(show, alice, make_mailbox):
    works, broken, paused = (make_mailbox(f"{name}@example.org", alice) for name in ("works", "broken", "paused"))
    connected(works)
    Mailbox.objects.filter(pk=broken.pk).update(attention={"title": "Broken"})
    Mailbox.objects.filter(pk=paused.pk).update(paused_at=timezone.now())
    connected(paused)
    for state, address in (("attention", "broken"), ("paused", "paused"), ("connected", "works")):
        query = f"?show={state}"
        assert f'href="{reverse(PAGE)}{query}"' in show(alice).text
        answer = show(alice, query)
        others = {"works", "broken", "paused"} - {address}
        cards = answer.text[answer.text.index('id="email-accounts"') :]
        assert f"{address}@example.org" in cards
        assert not [other for other in others if f"{other}@example.org" in cards]
        assert "Show all" in answer.words


def test_an_unknown_filter_shows_everything(show, alice, mailbox):
    assert "alice@example.org" in show(alice, "?show=<script>").words


def test_a_filter_that_finds_nothing_says_so(show, alice, mailbox):
    connected(mailbox)
    assert "Nothing needs attention" in show(alice, "?show=attention").words


# --- Parts of the page ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["email-settings-accounts", "email-settings-overview"])
def test_a_part_of_the_page_comes_alone(client_of, alice, mailbox, name):
    page = client_of(alice).get(reverse(name)).content.decode()
    assert "<html" not in page


def test_people_with_mail_land_in_it_and_others_where_they_can_connect(client_of, alice, charlie, mailbox):
    assert client_of(alice).get(reverse("home")).headers["Location"] == reverse("mailstore:mail")
    assert client_of(charlie).get(reverse("home")).headers["Location"] == reverse(PAGE)


def test_the_number_of_queries_does_not_grow_with_the_accounts(assert_queries, client_of, administrator, make_mailbox):
    client = client_of(administrator)
    servers = [
        MailServer.objects.create(organization=administrator.organization, name=f"S{number}", host="smtp.example.org")
        for number in range(2)
    ]
    made = iter(range(1000))

    def grow() -> None:
        for number in (next(made) for _ in range(5)):
            mailbox = make_mailbox(f"m{number}@example.org", administrator, mail_server=servers[number % 2])
            if number % 2:
                connected(mailbox)

    grow()
    for name in (PAGE, "email-settings-accounts", "email-settings-overview"):
        assert_queries.constant(lambda name=name: client.get(reverse(name)), grow)


def test_the_page_costs_few_queries(assert_queries, client_of, administrator, mailbox, shared_mailbox):
    client = client_of(administrator)
    client.get(reverse(PAGE))
    with assert_queries(QUERIES):
        client.get(reverse(PAGE))


QUERIES = 12


# --- Many accounts ----------------------------------------------------------------------------------------------


@pytest.fixture
def many(administrator, make_mailbox) -> list[str]:
    """The addresses of 120 accounts, in the order of the list: the default one, then by name, alike ones by age."""
    names = ["Zoe, the default", *(f"Name {number // 3:03}" for number in range(119))]
    rows = [
        make_mailbox(f"m{number}@example.org", administrator, display_name=name) for number, name in enumerate(names)
    ]
    Mailbox.objects.filter(pk=rows[0].pk).update(is_default=True)
    return [row.address for row in rows]


def addresses(answer: Answer) -> list[str]:
    return re.findall(r'aria-label="Edit (m\d+@example\.org)"', answer.text)


@pytest.mark.proves("B1")
def test_many_accounts_come_page_by_page_each_once(client_of, administrator, many):
    client = client_of(administrator)
    url, seen = reverse(PAGE), []
    while url:
        answer = answer_of(client.get(url, headers={"HX-Request": "true"} if seen else {}))
        assert ("<html" in answer.text) is not bool(seen)
        seen.append(addresses(answer))
        following = re.search(r'hx-get="([^"]*after=[^"]*)"', answer.text)
        url = following[1].replace("&amp;", "&") if following else ""
    assert [len(page) for page in seen] == [24, 24, 24, 24, 24]
    assert [address for page in seen for address in page] == many


def test_accounts_are_found_by_address_or_name(show, administrator, many):
    assert 'aria-label="Search email accounts' in show(administrator).text
    assert addresses(show(administrator, "?q=M117@")) == ["m117@example.org"]
    assert addresses(show(administrator, "?q=the+default")) == ["m0@example.org"]
    assert addresses(show(administrator, "?q=name&show=paused")) == []
    following = re.search(r'hx-get="([^"]*after=[^"]*)"', show(administrator, "?q=name").text)[1]
    assert "q=name" in following
    nothing = show(administrator, "?q=%3Cb%3E%25_").words
    assert "No account like “&lt;b&gt;%_”" in nothing or "No account like “<b>%_”" in nothing


def test_few_accounts_need_no_search(show, alice, mailbox):
    assert "Search email accounts" not in show(alice).text
    assert "Show more" not in show(alice).text


@pytest.mark.parametrize("after", ["x", "0", "99999999", "9" * 40, "-1", "٣"])
def test_a_place_in_the_list_that_is_none_begins_at_the_top(show, alice, mailbox, after):
    assert "alice@example.org" in show(alice, f"?after={after}").words


@pytest.mark.proves("F2")
def test_whoever_may_send_from_a_mailbox_lands_in_its_mail(client_of, shared_mailbox, charlie):
    assert client_of(charlie).get("/")["Location"] == reverse(PAGE)
    MailboxGrant.objects.create(mailbox=shared_mailbox, user=charlie, may_send=True)
    assert client_of(charlie).get("/")["Location"] == reverse("mailstore:mail")


# --- Two ways to say one state ------------------------------------------------------------------------------------


def test_the_numbers_on_top_count_what_the_cards_say(administrator, organization):
    """The database counts states, a card says its own: for everything that a state depends on, they agree."""
    now = timezone.now()
    early, late = now - timedelta(minutes=5), now + timedelta(minutes=5)
    cases = product(
        [None, {"title": "Wrong password"}], [None, early], [None, early, late], ["", "the server"], [None, early],
        [None, early], [early, late],
    )  # fmt: skip
    mailboxes, rows = [Mailbox(organization=organization, address="none@example.org", display_name="None")], []
    for number, (attention, paused, leased, waits, finished, requested, due) in enumerate(cases):
        mailbox = Mailbox(
            organization=organization, address=f"box{number}@example.org", display_name=f"Box {number}",
            attention=attention, paused_at=paused,
        )  # fmt: skip
        mailboxes.append(mailbox)
        rows.append(
            SyncSchedule(
                mailbox=mailbox,
                leased_until=leased,
                waiting_for=waits,
                finished_at=finished,
                requested_at=requested,
                due_at=due,
                started_at=early,
            )
        )
    Mailbox.objects.bulk_create(mailboxes)
    SyncSchedule.objects.bulk_create(rows)
    said = Counter(card_of(administrator, mailbox.pk, now).state for mailbox in mailboxes)
    assert count_states(administrator, now) == said
    assert set(said) == set(State)
