"""Limits and the server that stands in, in dialog and API; a server that cannot be reached, on its card (spec B9)."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from mailservers.circuits import OPENS_AFTER, Circuit
from mailservers.models import MailServer

pytestmark = pytest.mark.django_db

VALUES = {"name": "Office", "host": "smtp.example.com", "port": "587", "security": "starttls", "timeout": "40"}


@pytest.fixture
def reserve(organization) -> MailServer:
    return MailServer.objects.create(organization=organization, name="Reserve", host="smtp.example.net")


@pytest.fixture
def office(organization) -> MailServer:
    return MailServer.objects.create(organization=organization, name="Office", host="Smtp.Example.com")


@pytest.fixture
def page(client_of, administrator):
    return client_of(administrator)


@pytest.mark.proves("B9")
def test_the_dialog_stores_limits_and_empty_ones_stay_the_catalogs(page, organization, reserve):
    limits = {"connections": "2", "messages_per_connection": "", "per_minute": "30", "per_day": "500"}
    answer = page.post(reverse("mailservers:create"), VALUES | limits | {"fallback": str(reserve.pk)})
    assert answer.status_code == 302
    server = MailServer.objects.get(name="Office")
    assert (server.connections, server.messages_per_connection) == (2, None)
    assert (server.per_minute, server.per_day, server.fallback) == (30, 500, reserve)


@pytest.mark.proves("B9")
@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", "1000001"])
@pytest.mark.parametrize("name", ["connections", "messages_per_connection", "per_minute", "per_day"])
def test_a_wrong_limit_is_told_and_nothing_typed_is_lost(page, organization, name, value):
    answer = page.post(reverse("mailservers:create"), VALUES | {name: value})
    assert answer.status_code == 422
    text = answer.content.decode()
    assert "Type a whole number from 1 to 1000000, or leave it empty for what is usual." in text
    assert f'value="{value}"' in text
    assert not MailServer.objects.exists()


@pytest.mark.proves("B9", "J4")
def test_only_another_server_of_the_organization_can_stand_in(page, office, other_organization):
    stranger = MailServer.objects.create(organization=other_organization, name="Theirs", host="smtp.example.net")
    for wrong in (stranger.pk, office.pk):
        answer = page.post(reverse("mailservers:edit", args=[office.pk]), VALUES | {"fallback": str(wrong)})
        assert answer.status_code == 422
    office.refresh_from_db()
    assert office.fallback is None


def test_a_server_that_stood_in_and_is_deleted_leaves_the_other_waiting(office, reserve):
    office.fallback = reserve
    office.save()
    reserve.delete()
    office.refresh_from_db()
    assert office.fallback is None


@pytest.mark.proves("B1")
def test_the_card_says_since_when_a_server_is_not_reached_and_what_happens_to_its_mail(page, office, reserve):
    now = timezone.now()
    for _ in range(OPENS_AFTER):
        Circuit.objects.note_failure(office.organization_id, office.endpoint(), "Connection refused.", now)
    text = page.get(reverse("mailservers:card", args=[office.pk])).content.decode()
    assert "It cannot be reached since" in text
    assert "Connection refused. Its mail waits." in text
    office.fallback = reserve
    office.save()
    text = page.get(reverse("mailservers:card", args=[office.pk])).content.decode()
    assert "Its mail leaves through Reserve meanwhile." in text
    assert "cannot be reached" not in page.get(reverse("mailservers:card", args=[reserve.pk])).content.decode()
    assert Circuit.objects.note_success(office.organization_id, office.endpoint())
    assert "cannot be reached" not in page.get(reverse("mailservers:card", args=[office.pk])).content.decode()


def test_the_circuit_of_one_organization_is_not_anothers(office, other_organization):
    theirs = MailServer.objects.create(organization=other_organization, name="Theirs", host=office.host)
    for _ in range(OPENS_AFTER):
        Circuit.objects.note_failure(office.organization_id, office.endpoint(), "Nobody answers.", timezone.now())
    shown = MailServer.objects.for_cards()
    assert shown.get(pk=office.pk).unreachable_since
    assert shown.get(pk=theirs.pk).unreachable_since is None
