"""/healthz and /readyz, whoever asks and whatever is broken (spec L5)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from emailsettings import health
from mailstore.models import Watcher

pytestmark = pytest.mark.proves("L5")
WELL = {"database": "ok", "cache": "ok", "broker": "ok"}


def test_alive_without_a_database_or_a_sign_in(client):
    answer = client.get("/healthz", headers={"host": "10.1.2.3:8000"})
    assert (answer.status_code, answer.content, answer["Cache-Control"]) == (200, b"ok\n", "no-store")


@pytest.mark.django_db
def test_ready_when_every_part_answers(client):
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "parts": {**WELL, "watcher": "does not run"}}


@pytest.mark.django_db
@pytest.mark.parametrize(("ago", "words"), [(1, "ok"), (60, "does not answer")])
def test_the_watcher_is_named_but_pages_do_not_need_it(client, ago, words):
    now = timezone.now()
    Watcher.objects.take("somewhere", now - timedelta(seconds=ago), watching=1, wanted=1)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["parts"]["watcher"]) == (200, words)


@pytest.mark.django_db
def test_a_broken_part_is_named_without_telling_more(client, monkeypatch, expected_errors):
    expected_errors("Service Unavailable")

    def refuse() -> str:
        raise OSError("password of the broker: hunter2")

    monkeypatch.setitem(health.CHECKS, "broker", refuse)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    parts = {**WELL, "broker": "does not answer", "watcher": "does not run"}
    assert answer.json() == {"ready": False, "parts": parts}


@pytest.mark.django_db
def test_a_database_that_is_behind_is_not_ready(client, expected_errors):
    expected_errors("Service Unavailable")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'delivery'")
    assert client.get("/readyz").json()["parts"]["database"] == "needs manage.py prepare"


@pytest.mark.django_db
@pytest.mark.proves("R29")
def test_pages_of_an_older_version_are_not_ready(client, expected_errors):
    expected_errors("Service Unavailable")
    MigrationRecorder.Migration.objects.create(app="delivery", name="9999_from_the_future")
    assert client.get("/readyz").json()["parts"]["database"] == "was prepared by a newer version"


def test_other_methods_are_none_of_its_business(client, db):
    assert client.post("/healthz").status_code != 200
