"""A login that the server refused is not offered again by the way (spec D4, fault R16)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import NoReturn

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox
from mailservers.rulebook import load_rules
from mailstore import estimate, folder_list, schedule
from mailstore.models import SyncSchedule
from mailstore.syncing import sync
from organizations.sealing import new_key
from protocols.errors import LoginRefused


@pytest.mark.proves("D4", "R16")
@pytest.mark.parametrize("state", [{"login_refusals": 1}, {"paused_at": timezone.now()}])
def test_looking_at_the_estimate_again_and_again_tries_no_refused_login(mailbox, client_of, alice, monkeypatch, state):
    tried: list[Mailbox] = []
    monkeypatch.setattr(estimate, "imap_session", tried.append)
    Mailbox.objects.update(**state)
    client = client_of(alice)
    for _ in range(3):
        assert client.get(reverse("mailstore:estimate", args=[mailbox.pk])).status_code == 200
    assert tried == []


@pytest.mark.proves("R16")
def test_a_login_that_is_refused_to_the_estimate_counts(mailbox, client_of, alice, monkeypatch):
    monkeypatch.setattr(estimate, "imap_session", _refuse([]))
    for _ in range(3):
        client_of(alice).get(reverse("mailstore:estimate", args=[mailbox.pk]))
    assert Mailbox.objects.get(pk=mailbox.pk).login_refusals == 1


@pytest.mark.proves("R16")
def test_a_login_that_is_refused_to_the_list_of_folders_counts_and_is_left_to_a_sync(
    mailbox, client_of, alice, monkeypatch
):
    load_rules()
    tried: list[Mailbox] = []
    monkeypatch.setattr(folder_list, "imap_session", _refuse(tried))
    schedule.ensure(mailbox)
    client, url = client_of(alice), reverse("mailstore:refresh-folders", args=[mailbox.pk])
    for _ in range(3):
        answer = client.post(url)
        assert answer.status_code == 200
    assert (len(tried), Mailbox.objects.get(pk=mailbox.pk).login_refusals) == (1, 1)
    assert SyncSchedule.objects.get(pk=mailbox.pk).due_at > timezone.now() + timedelta(minutes=9)
    assert "The next sync tries it once more, not before " in answer.content.decode()


def _refuse(tried: list[Mailbox]) -> Callable[[Mailbox], NoReturn]:
    def refuse(mailbox: Mailbox) -> NoReturn:
        tried.append(mailbox)
        raise LoginRefused("no", reply="NO [AUTHENTICATIONFAILED] no")

    return refuse


@pytest.mark.proves("J1", "R16")
def test_a_stored_password_that_cannot_be_opened_is_told_and_not_tried_on(mailbox, client_of, alice, settings):
    load_rules()
    settings.ENCRYPTION_KEYS = new_key("fresh")
    now = timezone.now()
    SyncSchedule.objects.update(mailbox=mailbox, fence=1, started_at=now, leased_until=now + timedelta(minutes=5))
    sync(mailbox.pk, 1)
    attention = Mailbox.objects.get(pk=mailbox.pk).attention
    assert attention["code"] == "stored-password-unreadable"
    assert attention["causes"][0]["field"] == "password"
    assert SyncSchedule.objects.get().due_at > now + timedelta(hours=23)
    words = client_of(alice).get(reverse("mailstore:estimate", args=[mailbox.pk])).content.decode()
    assert "The server did not say quickly" in words
