"""`/suppressions`, and what `/outbox` says of addresses on the list."""

from __future__ import annotations

import pytest
from django.utils import timezone

from delivery.models import Suppression
from delivery.states import Cause
from organizations.models import AuditEntry
from organizations.scopes import Scope
from tests.api.conftest import assert_problem, fields

pytestmark = pytest.mark.django_db
BOB = "bob@partner.example"


@pytest.fixture
def api(api_of, administrator):
    return api_of(administrator)


@pytest.mark.proves("I7", "L1")
def test_addresses_are_put_on_the_list_read_and_taken_off(api):
    answer = api.post("/suppressions", {"addresses": ["Bob@partner.example", "carol@partner.example"], "note": "Shut"})
    assert (answer.status_code, answer.data) == (201, {"added": 2})
    assert api.post("/suppressions", {"addresses": [BOB]}).data == {"added": 0}
    [carol, bob] = sorted(api.get("/suppressions").data["items"], key=lambda item: item["address"], reverse=True)
    assert (bob["address"], bob["cause"], bob["note"], bob["why"]) == (
        BOB,
        "by_hand",
        "Shut",
        "Put there by hand: Shut",
    )
    assert api.get(f"/suppressions/{bob['id']}").data == bob
    assert api.delete(f"/suppressions/{bob['id']}").status_code == 204
    assert [item["id"] for item in api.get("/suppressions").data["items"]] == [carol["id"]]
    actions = list(AuditEntry.objects.order_by("pk").values_list("action", flat=True))
    assert actions.count("suppression.added") == 1
    assert actions.count("suppression.removed") == 1


def test_the_list_is_paged_and_searched(api, organization):
    for number in range(5):
        Suppression.objects.create(
            organization=organization, address=f"a{number}@x.example", cause=Cause.BOUNCE, since=timezone.now()
        )
    first = api.get("/suppressions?limit=3").data
    rest = api.get(f"/suppressions?limit=3&cursor={first['next']}").data
    assert (len(first["items"]), len(rest["items"]), rest["next"]) == (3, 2, None)
    assert len(api.get("/suppressions?q=A3@").data["items"]) == 1
    assert api.get("/suppressions?cause=complaint").data["items"] == []
    assert_problem(api.get("/suppressions?cause=whatever"), 422, "invalid")


@pytest.mark.parametrize("address", ["nobody", "bob@@x", "two words@x.example y"])
def test_what_is_no_address_is_refused(api, address):
    assert fields(api.post("/suppressions", {"addresses": [address]})) == ["addresses"]
    assert not Suppression.objects.exists()


@pytest.mark.proves("I7")
def test_the_answer_says_per_recipient_who_gets_nothing(api_of, alice, mailbox, organization):
    Suppression.objects.create(organization=organization, address=BOB, cause=Cause.COMPLAINT, since=timezone.now())
    api = api_of(alice, Scope.OUTBOX_SEND, Scope.OUTBOX_READ)
    body = {
        "mailbox": mailbox.pk,
        "to": [{"address": BOB}, {"address": "carol@partner.example"}],
        "subject": "Offer",
        "text": "Please.",
    }
    answer = api.post("/outbox", body, Idempotency_Key="k1")
    assert answer.status_code == 201
    assert [one["is_suppressed"] for one in answer.data["recipient_list"]] == [True, False]
    assert answer.data["recipients"] == {"failed": 1, "queued": 1}
    address = f"/outbox/{answer.data['id']}"
    bob, carol = api.get(address).data["recipient_list"]
    assert (bob["state"], bob["bounce_reason"], bob["is_suppressed"]) == ("failed", "suppressed", True)
    assert "on the suppression list. The recipient marked a mail of ours as spam." in bob["note"]
    assert (carol["state"], carol["is_suppressed"], carol["events"]) == ("queued", False, [])
    Suppression.objects.all().delete()
    assert api.get(address).data["recipient_list"][0]["is_suppressed"] is False
