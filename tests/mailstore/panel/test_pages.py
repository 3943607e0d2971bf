"""The pages of the panel: lists, conversations, search, and the states before there is anything to show."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox
from mailstore.models import Folder, Listing, Message, SyncSchedule
from organizations.paging import PAGE_SIZE
from tests.mailstore.panel.conftest import html_mail, mail, mail_with_files

HTMX = {"HTTP_HX_REQUEST": "true"}
READING_PANE = HTMX | {"HTTP_HX_TARGET": "read", "HTTP_HX_BOOSTED": "true"}


@pytest.fixture
def client(alice, client_of):
    return client_of(alice)


def text_of(answer) -> str:
    return answer.content.decode()


def subjects(html: str) -> list[str]:
    return re.findall(r'<span class="subject"><bdi>([^<]*)</bdi></span>', html)


def fill(deliver, mailbox, count: int, **fields: str) -> None:
    at = timezone.now() - timedelta(days=2)
    for number in range(count):
        deliver(mailbox, mail(f"Letter {number}", **fields), at=at + timedelta(minutes=number))


def folder_url(mailbox, name: str = "INBOX") -> str:
    return reverse("mailstore:folder", args=[mailbox.folders.get(name=name).pk])


# --- Lists --------------------------------------------------------------------------------------------------------


@pytest.mark.proves("H1")
def test_a_folder_lists_its_conversations_newest_first_page_by_page(client, mailbox, deliver):
    fill(deliver, mailbox, 2 * PAGE_SIZE + 5)
    url = folder_url(mailbox)
    seen = subjects(text_of(client.get(url)))
    page = text_of(client.get(url))
    while older := re.search(r'hx-get="([^"]*after=[^"]*)"', page):
        page = text_of(client.get(older[1], **HTMX))
        assert "<html" not in page
        seen += subjects(page)
    assert seen == [f"Letter {number}" for number in reversed(range(2 * PAGE_SIZE + 5))]


@pytest.mark.proves("H1")
def test_mail_that_comes_while_one_reads_on_moves_nothing(client, mailbox, deliver):
    fill(deliver, mailbox, PAGE_SIZE + 3)
    first = text_of(client.get(folder_url(mailbox)))
    deliver(mailbox, mail("Just now"), at=timezone.now())
    older = text_of(client.get(re.search(r'hx-get="([^"]*after=[^"]*)"', first)[1], **HTMX))
    assert subjects(older) == ["Letter 2", "Letter 1", "Letter 0"]


@pytest.mark.proves("H1")
def test_news_come_without_the_rows_that_stand_in_the_list_already(client, mailbox, deliver):
    fill(deliver, mailbox, 3)
    states = re.findall('data-state="([0-9a-f]{8})"', text_of(client.get(folder_url(mailbox))))
    deliver(mailbox, mail("Just now"), at=timezone.now())
    Message.objects.filter(subject="Letter 1").update(is_flagged=True)
    url = reverse("mailstore:newest", args=[mailbox.folders.get(name="INBOX").pk])
    news = text_of(client.get(url, {"has": ".".join(states)}, **HTMX))
    assert subjects(news) == ["Just now", "Letter 1"]
    assert re.findall('data-same="(.*?)"', news) == [states[0], states[2]]


@pytest.mark.proves("H1")
def test_conversations_of_the_same_moment_are_neither_lost_nor_doubled(client, mailbox, deliver):
    at = timezone.now() - timedelta(days=1)
    for number in range(PAGE_SIZE + 5):
        deliver(mailbox, mail(f"Letter {number}"), at=at)
    first = text_of(client.get(folder_url(mailbox)))
    older = text_of(client.get(re.search(r'hx-get="([^"]*after=[^"]*)"', first)[1], **HTMX))
    assert len(set(subjects(first) + subjects(older))) == len(subjects(first) + subjects(older)) == PAGE_SIZE + 5


@pytest.mark.parametrize(
    "after", ["", "x", "1", "-", "99999999999999999999-1", "1-99999999999999999999", "9" * 18 + "-1", "٣-٤"]
)
def test_a_place_that_is_none_begins_at_the_top(client, mailbox, deliver, after):
    deliver(mailbox, mail("Hello"))
    for headers in ({}, HTMX):
        assert subjects(text_of(client.get(folder_url(mailbox), {"after": after}, **headers))) == ["Hello"]


@pytest.mark.proves("H1")
def test_the_number_of_queries_does_not_grow_with_the_list(client, mailbox, deliver, assert_queries):
    deliver(mailbox, mail("First"))
    url = folder_url(mailbox)

    def grow() -> None:
        fill(deliver, mailbox, 12)
        for number in range(5):
            deliver(mailbox, mail("x"), folder=f"Archive/{number}")

    assert_queries.constant(lambda: client.get(url), grow)


@pytest.mark.proves("H1")
def test_a_page_of_a_list_is_four_queries(client, mailbox, deliver, assert_queries):
    fill(deliver, mailbox, 10)
    url = folder_url(mailbox)
    client.get(url)
    with assert_queries(4):  # session, user, folder with rights, rows
        client.get(f"{url}?after=9-9", **HTMX)


@pytest.mark.proves("H1")
@time_machine.travel(datetime(2026, 3, 10, 12, 0, tzinfo=UTC), tick=False)
def test_a_row_says_who_when_what_and_how_much(client, mailbox, deliver):
    now = timezone.now()
    deliver(mailbox, mail_with_files(Message_ID="<1@x>"), r"\Seen", at=now - timedelta(hours=2))
    deliver(mailbox, mail("Re: Files", "Thanks", References="<1@x>", From="Bob Okafor <b@x.example>"), at=now)
    deliver(mailbox, mail("Older", From="Bo <bo@x.example>"), r"\Seen", at=now - timedelta(days=1))
    deliver(mailbox, mail("Oldest"), r"\Seen", at=datetime(2025, 11, 18, 9, tzinfo=UTC))
    rows = re.findall(r'<a class="conversation.*?</a>', text_of(client.get(folder_url(mailbox))), re.DOTALL)
    first, second, third = (
        " ".join(re.sub(r"<svg.*?</svg>|<[^>]+>", " ", row, flags=re.DOTALL).split()) for row in rows
    )
    assert first == "Unread: Carol, Bob 2 messages With attachment 12:00 Files Thanks"
    assert second == "Bo Yesterday Older Good morning"
    assert third == "Carol Jones 18 Nov 2025 Oldest Good morning"
    assert "With attachment" in rows[0]
    assert "unread" in rows[0].split(">")[0]
    assert "unread" not in rows[1].split(">")[0]


def test_the_sent_folder_says_to_whom(client, mailbox, deliver):
    deliver(mailbox, mail(To="Carol Jones <c@x.example>, dave@x.example"), folder="Sent")
    assert "To Carol, dave" in text_of(client.get(folder_url(mailbox, "Sent")))


@pytest.mark.proves("H1")
def test_folders_show_their_unread_messages(client, mailbox, deliver):
    for flags in ((), (), (r"\Seen",)):
        deliver(mailbox, mail(), *flags)
    deliver(mailbox, mail(), r"\Seen", folder="Archive")
    page = text_of(client.get(reverse("mailstore:mailbox", args=[mailbox.pk])))
    nav = re.search(r'<nav id="mail-folders".*?</nav>', page, re.DOTALL)[0]
    assert re.findall(r"(\d+) unread", nav) == ["2"]


# --- Before there is anything -------------------------------------------------------------------------------------


def test_without_a_mailbox_the_panel_shows_how_to_connect_one(client):
    assert reverse("accounts:wizard") in text_of(client.get(reverse("mailstore:mail")))


@pytest.mark.proves("E2")
def test_before_the_first_download_the_panel_offers_it_then_shows_how_far_it_is(client, mailbox):
    url = reverse("mailstore:mailbox", args=[mailbox.pk])
    assert client.get(reverse("mailstore:mail"))["Location"] == url
    assert reverse("mailstore:download", args=[mailbox.pk]) in text_of(client.get(url))
    now = timezone.now()
    SyncSchedule.objects.filter(mailbox=mailbox).update(
        leased_until=now + timedelta(minutes=1), started_at=now, folder_name="INBOX", done=812, total=2013
    )
    page = text_of(client.get(url))
    assert "812 of 2,013" in page
    assert 'value="812" max="2013"' in page


def test_an_open_panel_begins_again_once_there_is_a_folder(client, mailbox, deliver):
    url = reverse("mailstore:folders", args=[mailbox.pk])
    assert "HX-Refresh" not in client.get(url)
    deliver(mailbox, mail())
    assert "HX-Refresh" in client.get(url)


def test_a_mailbox_that_needs_attention_says_why_in_its_panel(client, mailbox, deliver):
    deliver(mailbox, mail())
    type(mailbox).objects.filter(pk=mailbox.pk).update(
        attention={"title": "The password is wrong.", "causes": [{"cure": "Type the new one."}]}
    )
    page = text_of(client.get(folder_url(mailbox)))
    assert "The password is wrong." in page
    assert "Type the new one." in page


@pytest.mark.proves("E11", "D4")
def test_the_panel_tells_a_refused_login_and_an_outage_but_not_each_hiccup(client, mailbox, deliver):
    deliver(mailbox, mail())
    url = reverse("mailstore:mailbox", args=[mailbox.pk])
    waits = {"waiting_for": "The server is silent.", "due_at": timezone.now() + timedelta(minutes=4)}
    SyncSchedule.objects.update(**waits, failures=1)
    page = client.get(url).content.decode()
    assert "Next try" in page
    assert "New mail comes in as soon as" not in page
    SyncSchedule.objects.update(failures=2)
    assert "New mail comes in as soon as" in client.get(url).content.decode()
    Mailbox.objects.update(login_refusals=1)
    page = client.get(url).content.decode()
    assert "It is tried once more, then this account pauses." in page
    assert reverse("accounts:settings-advanced", args=[mailbox.pk]) + "#servers" in page


@pytest.mark.proves("E2", "E11", "H1")
def test_a_long_download_is_followed_in_the_panel_with_its_pace(client, mailbox, deliver):
    deliver(mailbox, mail())
    now = timezone.now()
    running = {"leased_until": now + timedelta(minutes=1), "started_at": now - timedelta(seconds=10)}
    SyncSchedule.objects.update(**running, folder_name="Archive/2024", done=1_000, total=20_000)
    page = client.get(reverse("mailstore:mailbox", args=[mailbox.pk])).content.decode()
    for words in ("1,000 of 20,000", "Archive/2024", "per second, about", 'max="20000"'):
        assert words in page
    SyncSchedule.objects.update(done=3, total=7)  # news of a moment: nothing moves for them
    assert "<progress" not in client.get(reverse("mailstore:mailbox", args=[mailbox.pk])).content.decode()


def test_a_mailbox_that_only_sends_says_so(client, make_mailbox, alice):
    sender = make_mailbox("out@example.org", alice, imap_host="")
    assert "only sends" in text_of(client.get(reverse("mailstore:mailbox", args=[sender.pk])))


# --- Conversations ------------------------------------------------------------------------------------------------


def open_conversation(client, message, query: str = "", **headers: str) -> str:
    answer = client.get(reverse("mailstore:conversation", args=[message.conversation_id]) + query, **headers)
    assert answer.status_code == 200
    return text_of(answer)


@pytest.mark.proves("H1")
def test_a_conversation_is_a_fragment_in_the_pane_and_a_page_by_itself(client, mailbox, deliver):
    message = deliver(mailbox, mail("Hello", "Good morning"))
    fragment, page = open_conversation(client, message, **READING_PANE), open_conversation(client, message)
    assert "<html" not in fragment
    assert "<title>Hello" in fragment
    for html in (fragment, page):
        assert "Good morning" in html
    assert 'id="mail-folders"' in page
    assert 'aria-current="true"' in page


def test_a_conversation_spans_folders_and_shows_each_message_once(client, mailbox, deliver):
    first = deliver(mailbox, mail("Plan", "one", Message_ID="<1@x>"), r"\Seen")
    deliver(mailbox, mail("Re: Plan", "two", Message_ID="<2@x>", References="<1@x>"), r"\Seen", folder="Sent")
    copy = deliver(mailbox, mail("Re: Plan", "two", Message_ID="<2@x>", References="<1@x>"), r"\Seen")
    page = open_conversation(client, first, f"?folder={first.folder_id}", **READING_PANE)
    assert re.findall(r'id="message-(\d+)"', page) == [str(first.pk), str(copy.pk)]


def test_the_address_of_a_reply_leads_to_the_conversation_it_was_joined_to(client, mailbox, deliver):
    reply = deliver(
        mailbox, mail("Re: The plan for May", "two", Message_ID="<2@x>", Date="Wed, 11 Mar 2026 12:00 +0000")
    )
    first = deliver(mailbox, mail("The plan for May", "one", Message_ID="<1@x>", Date="Tue, 10 Mar 2026 12:00 +0000"))
    for query in ("", f"?folder={first.folder_id}"):
        page = open_conversation(client, reply, query)  # as it was when the reply came
        assert set(re.findall(r'id="message-(\d+)"', page)) == {str(first.pk), str(reply.pk)}
        assert "<title>The plan for May" in page


@pytest.mark.proves("T9")
def test_nobody_replaces_a_message_by_sending_another_with_its_message_id(client, mailbox, deliver):
    first = deliver(mailbox, mail("Pay", "to the old account", Message_ID="<1@x>"))
    deliver(mailbox, mail("Pay", "to my account", Message_ID="<1@x>", From="Mallory <m@evil.example>"))
    page = open_conversation(client, first, **READING_PANE)
    assert "to the old account" in page
    assert "Mallory" in page
    deliver(mailbox, mail("Pay", "to a third account", Message_ID="<1@x>"))
    assert "to a third account" not in open_conversation(client, first, f"?folder={first.folder_id}", **READING_PANE)


def test_read_messages_are_folded_and_open_by_themselves(client, mailbox, deliver):
    first = deliver(mailbox, mail("Plan", "one one", Message_ID="<1@x>"), r"\Seen")
    deliver(mailbox, mail("Re: Plan", "two two", Message_ID="<2@x>", References="<1@x>"))
    page = open_conversation(client, first, **READING_PANE)
    assert f'<details class="message " id="message-{first.pk}">' in page
    assert 'class="body text">two two' in page
    assert 'class="body text">one one' not in page
    assert 'class="body text">one one' in text_of(client.get(reverse("mailstore:message", args=[first.pk]), **HTMX))


@pytest.mark.proves("H1")
def test_a_long_conversation_shows_fifty_and_the_earlier_ones_on_demand(client, mailbox, deliver, assert_queries):
    at = timezone.now() - timedelta(days=1)
    letters = [
        deliver(
            mailbox,
            mail("Long", f"n {n}", Message_ID=f"<{n}@x>", References="<0@x>"),
            r"\Seen",
            at=at + timedelta(minutes=n),
        )
        for n in range(53)
    ]
    page = open_conversation(client, letters[0], **READING_PANE)
    assert re.findall(r'id="message-(\d+)"', page) == [str(letter.pk) for letter in letters[3:]]
    earlier = re.search(r'hx-get="([^"]*before=[^"]*)"', page)[1].replace("&amp;", "&")
    before = text_of(client.get(earlier, **HTMX))
    assert re.findall(r'id="message-(\d+)"', before) == [str(letter.pk) for letter in letters[:3]]
    wanted = open_conversation(client, letters[1], f"?q=n&message={letters[1].pk}", **READING_PANE)
    assert f'<article class="message " id="message-{letters[1].pk}"' in wanted
    with assert_queries(9):
        open_conversation(client, letters[0], **READING_PANE)


@pytest.mark.proves("H2")
def test_plain_text_keeps_its_lines_has_links_and_folds_its_history(client, mailbox, deliver):
    text = "See https://example.com/<b>\n\nOn Monday, Alice wrote:\n> old words\n> more\n> and more\n"
    page = open_conversation(client, deliver(mailbox, mail("Hi", text)), **READING_PANE)
    assert 'href="https://example.com/"' in page
    assert "&lt;b&gt;" in page
    written, history = re.search(
        r'class="body text">(.*?)</div>.*class="body history">(.*?)</details>', page, re.DOTALL
    ).groups()
    assert "old words" not in written
    assert "old words" in history


@pytest.mark.proves("H2", "T11")
def test_remote_images_are_left_out_and_counted_without_a_button(client, mailbox, deliver):
    html = '<p>Hi</p><img src="https://harbour.example/1"><img src="https://harbour.example/2">'
    message = deliver(mailbox, html_mail(html))
    page = " ".join(open_conversation(client, message, **READING_PANE).split())
    assert "2 images from harbour.example are not loaded, so the sender does not learn that you read this." in page
    assert "Show images" not in page
    assert "harbour" not in text_of(client.get(reverse("mailstore:message-body", args=[message.pk])))


@pytest.mark.proves("H2")
def test_files_are_listed_but_not_images_that_stand_in_the_text(client, mailbox, deliver):
    page = open_conversation(client, deliver(mailbox, mail_with_files()), **READING_PANE)
    assert re.findall(r'<span class="name"><bdi>([^<]*)</bdi></span>', page) == ["Rechnung März.pdf", "page.html"]


@pytest.mark.proves("T15")
def test_a_file_is_listed_by_the_name_that_it_will_be_saved_under(client, mailbox, deliver):
    letter = mail("Hello")
    letter.add_attachment(b"x", maintype="text", subtype="csv", filename="../../etc/passwd\u202efdp.csv")
    page = open_conversation(client, deliver(mailbox, letter), **READING_PANE)
    assert re.findall(r'<span class="name"><bdi>([^<]*)</bdi></span>', page) == ["passwdfdp.csv"]


@pytest.mark.proves("T9")
def test_nothing_that_a_sender_wrote_is_markup_on_our_pages(client, mailbox, deliver):
    hostile = "<img src=x onerror=alert(1)>\"'"
    letter = mail(hostile, hostile, To=f'"{hostile[:20]}" <x@example.com>')
    letter.replace_header("From", "=?utf-8?b?PGltZyBzcmM9eCBvbmVycm9yPWFsZXJ0KDEpPg==?= <a@example.com>")
    letter.add_attachment(b"x", maintype="application", subtype="pdf", filename=hostile)
    message = deliver(mailbox, letter, folder="<img src=x onerror=alert(1)>")
    for url in (
        reverse("mailstore:folder", args=[message.folder_id]),
        reverse("mailstore:conversation", args=[message.conversation_id]),
        reverse("mailstore:search") + "?q=img",
        reverse("mailstore:search") + "?q=%3Cimg+src%3Dx+onerror%3Dalert(1)%3E",
    ):
        page = text_of(client.get(url))
        assert "<img" not in page
        assert "onerror" in page  # as text


# --- Search -------------------------------------------------------------------------------------------------------


@pytest.mark.proves("H1")
def test_search_finds_across_mailboxes_and_marks_what_matched(client, mailbox, shared_mailbox, deliver):
    deliver(mailbox, mail("Ärger mit der Rechnung", "Preise"))
    deliver(shared_mailbox, mail("Invoice", "rechnungen anbei"))
    page = text_of(client.get(reverse("mailstore:search"), {"q": "rechnung"}))
    assert "Ärger mit der <mark>Rechnung</mark>" in page
    assert "<mark>rechnungen</mark> anbei" in page
    only = text_of(client.get(reverse("mailstore:search"), {"q": "rechnung", "mailbox": mailbox.pk}))
    assert "<mark>rechnungen</mark>" not in only
    assert "Search all accounts" in only


@pytest.mark.proves("H1")
def test_search_is_paged_and_its_results_open_beside_it(client, mailbox, deliver):
    fill(deliver, mailbox, PAGE_SIZE + 2, Reply_To="x@example.com")
    page = text_of(client.get(reverse("mailstore:search"), {"q": "letter"}))
    older = re.search(r'hx-get="([^"]*after=[^"]*)"', page)[1].replace("&amp;", "&")
    assert subjects(text_of(client.get(older, **HTMX))) == []  # they are marked
    assert text_of(client.get(older, **HTMX)).count('class="conversation ') == 2
    result = re.search(r'href="(/mail/conversation/[^"]*)"', page)[1].replace("&amp;", "&")
    beside = text_of(client.get(result))
    assert beside.count('class="conversation ') == PAGE_SIZE
    assert 'aria-current="true"' in beside


@pytest.mark.proves("H1")
@pytest.mark.parametrize(
    "query", ["", "nothinglikethis", '"', "from:", "in:sent has:attachment before:2020", "-x", "\x00", "%"]
)
def test_a_search_without_results_teaches_how_to_search(client, mailbox, deliver, query):
    deliver(mailbox, mail())
    page = text_of(client.get(reverse("mailstore:search"), {"q": query}))
    if 'class="conversation ' not in page:
        for operator in ("from:", "to:", "subject:", "has:attachment", "before:", "after:", "in:"):
            assert operator in page


@pytest.mark.proves("H1")
def test_a_search_that_makes_no_sense_says_so_and_keeps_what_was_typed(client, mailbox, deliver):
    deliver(mailbox, mail("Yesterday"))
    page = text_of(client.get(reverse("mailstore:search"), {"q": 'has:foo before:yesterday "as it was"'}))
    assert "before: wants a date such as 2026-03-31." in page
    assert "has: wants the word attachment: has:attachment." in page
    assert 'value="has:foo before:yesterday &quot;as it was&quot;"' in page
    assert "Nothing found" not in page
    assert 'class="conversation ' not in page


@pytest.mark.proves("H1", "F2")
def test_a_folder_that_is_nowhere_is_told_as_such_with_those_that_are(client, mailbox, deliver, make_mailbox, bob):
    deliver(mailbox, mail("Here"))
    Folder.objects.create(mailbox=make_mailbox("bob@example.org", bob), name="Bobs own", raw_name=b"Bobs own")

    def found(q: str, **more: object) -> str:
        return text_of(client.get(reverse("mailstore:search"), {"q": q, **more}))

    for asked in ("in:nosuch", "here in:nosuch", "in:bobs"):
        page = found(asked)
        assert f"No folder is called {asked.rpartition(':')[2]}. There are: INBOX." in page
        assert "Nothing found" not in page
    assert "Bobs own" not in found('in:"bobs own"')
    assert "No folder is called" in found("in:nosuch", mailbox=mailbox.pk)
    assert "No folder is called" not in found("in:inbox") + found("in:sent") + found("here")
    assert "Nothing found" in found("in:sent")


def test_the_number_of_queries_does_not_grow_with_the_results(client, mailbox, shared_mailbox, deliver, assert_queries):
    deliver(mailbox, mail("Letter"))

    def grow() -> None:
        fill(deliver, mailbox, 5)
        fill(deliver, shared_mailbox, 5)

    assert_queries.constant(lambda: client.get(reverse("mailstore:search"), {"q": "letter"}), grow)


@pytest.mark.parametrize("number", ["x", "", "9" * 30, "-1", "٣"])
def test_numbers_in_addresses_that_are_none_are_passed_over(client, mailbox, deliver, number):
    message = deliver(mailbox, mail())
    conversation = reverse("mailstore:conversation", args=[message.conversation_id])
    for query in ("folder", "message", "before"):
        assert client.get(conversation, {query: number}).status_code in (200, 404)
    assert client.get(reverse("mailstore:folders", args=[mailbox.pk]), {"folder": number}).status_code == 200
    assert client.get(reverse("mailstore:search"), {"q": "x", "mailbox": number}).status_code in (200, 404)


def test_a_folder_that_is_gone_is_404(client, mailbox, deliver):
    message = deliver(mailbox, mail())
    url = folder_url(mailbox)
    Folder.objects.filter(pk=message.folder_id).update(vanished_at=timezone.now())
    assert client.get(url).status_code == 404
    assert Listing.objects.filter(folder=message.folder_id).exists()
