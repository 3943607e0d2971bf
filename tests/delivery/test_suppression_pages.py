"""The suppression list as a page, as a file, and in the composer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from delivery.bounces import read_arrivals
from delivery.models import OutboxMessage, Suppression
from delivery.states import Cause
from delivery.views import suppressions as views
from organizations import spreadsheets
from organizations.models import AuditEntry
from tests.delivery.reporting import marked, report
from tests.delivery.writing import COMPOSE, filled

pytestmark = pytest.mark.django_db
LIST = "/communications/settings/email/suppressions"
BOB = "bob@partner.example"


@pytest.fixture
def client(client_of, administrator):
    """Of somebody who manages email accounts and reads nobody's mail."""
    return client_of(administrator)


def fill(organization, number: int, cause: Cause = Cause.BY_HAND) -> None:
    now = timezone.now()
    Suppression.objects.bulk_create(
        Suppression(
            organization=organization,
            address=f"a{one}@partner.example",
            cause=cause,
            since=now - timedelta(minutes=one),
        )
        for one in range(number)
    )


def text(answer) -> str:
    return answer.content.decode()


def test_an_empty_list_says_how_addresses_come_onto_it(client):
    page = text(client.get(LIST))
    assert "Everybody gets their mail" in page
    assert "Add addresses" in page
    assert "Export" not in page


@pytest.mark.proves("I7")
def test_it_says_why_and_leads_whoever_may_read_them_to_report_and_mail(
    sent, arrived, mailbox, alice, administrator, client_of, client, organization
):
    message = sent(BOB)
    arrival = arrived(mailbox, report(returned=marked(message)))
    read_arrivals(timezone.now())
    page = text(client.get(LIST))
    assert BOB in page
    assert "The address does not exist." in page
    assert reverse("delivery:message", args=[message.pk]) in page  # an administrator sees the email log
    link = reverse("mailstore:conversation", args=[arrival.conversation_id])
    assert link not in page


def test_it_is_read_page_by_page_newest_first(client, organization):
    fill(organization, 90)
    first = client.get(LIST)
    assert "a0@partner.example" in text(first)
    assert "a89@partner.example" not in text(first)
    seen, older = text(first), first.context["older"]
    for _ in range(2):
        answer = client.get(f"{LIST}{older}", headers={"HX-Request": "true"})
        seen, older = seen + text(answer), answer.context["older"]
    assert all(f">a{number}@partner.example<" in seen for number in range(90))
    assert answer.context["next"] == ""


def test_a_page_asks_as_much_for_one_row_as_for_many(client, organization, sent, assert_queries):
    message = sent(BOB)

    def grow() -> None:
        fill(organization, 39)
        Suppression.objects.update(message=message)

    fill_one = Suppression(organization=organization, address=BOB, cause=Cause.BOUNCE, since=timezone.now())
    fill_one.message = message
    fill_one.save()
    assert_queries.constant(lambda: client.get(LIST), grow)


def test_a_search_narrows_it_and_so_does_the_reason(client, organization):
    fill(organization, 3)
    Suppression.objects.create(organization=organization, address=BOB, cause=Cause.BOUNCE, since=timezone.now())
    page = text(client.get(LIST, {"q": "A1@"}))
    assert "a1@partner.example" in page
    assert BOB not in page
    page = text(client.get(LIST, {"cause": "bounce"}))
    assert BOB in page
    assert "a1@partner.example" not in page
    assert "Nothing matches" in text(client.get(LIST, {"q": "%"}))


@pytest.mark.proves("I7", "A8")
def test_one_is_taken_off_after_reading_what_that_means(client, organization):
    fill(organization, 2, Cause.BOUNCE)
    row = Suppression.objects.get(address="a1@partner.example")
    url = reverse("delivery:suppression-remove", args=[row.pk])
    question = text(client.get(url))
    assert "the next mail comes back too" in question
    assert "stays unsent until somebody sends it again" in question
    assert client.post(url).status_code == 302
    assert list(Suppression.objects.values_list("address", flat=True)) == ["a0@partner.example"]
    assert AuditEntry.objects.get(action="suppression.removed").object_label == "a1@partner.example"
    assert client.post(url).status_code == 404


@pytest.mark.proves("I7", "A8")
def test_pasted_addresses_are_added_with_a_note(client, organization, administrator):
    answer = client.post(
        f"{LIST}/add",
        {"addresses": "name,email\nBob,BOB@partner.example\nCarol;carol@partner.example", "note": "Closed"},
        follow=True,
    )
    assert "2 addresses get no mail any more." in text(answer)
    assert ">Closed<" in text(answer)
    rows = Suppression.objects.order_by("address")
    assert [(row.address, row.added_by) for row in rows] == [
        (BOB, administrator),
        ("carol@partner.example", administrator),
    ]
    assert AuditEntry.objects.get(action="suppression.added").detail["addresses"] == 2
    answer = client.post(f"{LIST}/add", {"addresses": f"{BOB} dora@partner.example"}, follow=True)
    assert "1 address gets no mail any more. 1 stood there already." in text(answer)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "is empty. Fill it in."),
        ("nobody", "There is no email address in it."),
        ("bob@@x ok@partner.example", "“bob@@x” is no email address. Correct it, or take it out."),
        (" ".join(f"a{n}@@x" for n in range(5)), "and 2 more are no email address."),
    ],
)
def test_what_is_no_address_is_named_and_nothing_typed_is_lost(client, typed, sentence):
    answer = client.post(f"{LIST}/add", {"addresses": typed}, headers={"HX-Request": "true"})
    assert answer.status_code == 422
    assert sentence in text(answer)
    assert typed in text(answer)
    assert not Suppression.objects.exists()


@pytest.mark.proves("A8")
def test_the_file_holds_what_the_filters_leave(client, organization):
    fill(organization, 3)
    Suppression.objects.create(
        organization=organization, address="=cmd@x.example", cause=Cause.BY_HAND, since=timezone.now(), note="+1"
    )
    answer = client.get(f"{LIST}/export")
    lines = b"".join(answer.streaming_content).decode().splitlines()
    assert lines[0] == "address,since (UTC),why,reason,note,put there by"
    assert lines[1].startswith("'=cmd@x.example,")
    assert ",'+1," in lines[1]
    assert len(lines) == 5
    answer = client.get(f"{LIST}/export", {"q": "a2@"})
    assert len(b"".join(answer.streaming_content).decode().splitlines()) == 2
    assert AuditEntry.objects.filter(action="suppression.exported").count() == 2


def test_under_asgi_the_file_leaves_while_it_is_read(administrator, rf, monkeypatch):
    asked: list[str] = []
    monkeypatch.setattr(spreadsheets, "answer", lambda request, pieces, name: asked.append(name))
    request = rf.get(f"{LIST}/export")
    request.user = administrator
    views.export(request)
    [name] = asked  # `spreadsheets.answer` hands an ASGI server each piece as it is made
    assert name.startswith("suppression-list-")


@pytest.mark.proves("I7")
def test_the_composer_says_it_before_anything_is_sent(client_of, alice, administrator, mailbox, organization):
    Suppression.objects.create(organization=organization, address=BOB, cause=Cause.COMPLAINT, since=timezone.now())
    client = client_of(alice)
    answer = client.post(COMPOSE, filled(mailbox, to="carol@partner.example", cc="Bob@partner.example"))
    assert answer.status_code == 422
    assert "bob@partner.example is on the suppression list, so it would get nothing." in text(answer)
    assert "ask somebody who manages email accounts" in text(answer)
    assert not OutboxMessage.objects.exists()
    Suppression.objects.all().delete()
    assert client.post(COMPOSE, filled(mailbox, to=BOB)).status_code == 302


def test_whoever_may_takes_the_address_off_without_leaving_the_composer(client, administrator, make_mailbox):
    own = make_mailbox("ada@example.org", administrator)
    row = Suppression.objects.create(
        organization=administrator.organization, address=BOB, cause=Cause.BY_HAND, since=timezone.now()
    )
    answer = client.post(COMPOSE, filled(own, to=BOB), headers={"HX-Request": "true"})
    url = reverse("delivery:suppression-remove", args=[row.pk])
    assert f'hx-get="{url}"' in text(answer)
    removed = client.post(url, headers={"HX-Request": "true"})
    assert removed.status_code == 204
    assert "dialog:close" in removed["HX-Trigger"]
    assert client.post(COMPOSE, filled(own, to=BOB)).status_code == 302
