"""When something is refused, missing or broken, the page says so in a sentence and leads on."""

import pytest
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.test import Client
from django.urls import include, path

from organizations.models import OperationGrant
from organizations.operations import Operation
from organizations.permissions import operation_required


@operation_required(Operation.MANAGE_MAIL_SERVERS)
def guarded(request: HttpRequest) -> HttpResponse:
    return HttpResponse("inside")


def refused(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a secret detail")


urlpatterns = [
    path("guarded", guarded),
    path("refused", refused),
    path("broken", broken),
    path("", include("emailsettings.urls")),
]

pytestmark = pytest.mark.urls(__name__)


@pytest.mark.proves("A4")
def test_a_page_without_the_operation_answers_403_and_names_it(client_of, alice):
    client = client_of(alice)
    answer = client.get("/guarded")
    assert answer.status_code == 403
    assert "Manage mail servers" in answer.content.decode()
    OperationGrant.objects.create(operation=Operation.MANAGE_MAIL_SERVERS, user=alice)
    assert client.get("/guarded").content == b"inside"


def test_administrators_hold_every_operation(client_of, administrator):
    assert client_of(administrator).get("/guarded").status_code == 200


@pytest.mark.parametrize(
    ("address", "status", "words"), [("/refused", 403, "may not open"), ("/nowhere", 404, "nothing here")]
)
def test_refusals_lead_back_and_say_who_is_signed_in(client_of, alice, address, status, words):
    answer = client_of(alice).get(address)
    page = answer.content.decode()
    assert answer.status_code == status
    assert words in page
    assert "alice@example.org" in page
    assert 'href="/"' in page


def test_a_stranger_learns_nothing_from_a_missing_page(client, db):
    answer = client.get("/nowhere")
    assert answer.status_code == 404
    assert "signed in as" not in answer.content.decode()


def test_our_own_mistake_is_admitted_without_its_details_and_without_the_database(
    assert_queries, expected_errors, alice
):
    expected_errors("Internal Server Error: /broken")
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    answer = client.get("/broken")
    assert answer.status_code == 500
    assert "our mistake" in answer.content.decode()
    assert "secret" not in answer.content.decode()
    with assert_queries(0):
        render_to_string("500.html")
