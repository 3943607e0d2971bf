"""`/drafts`: what is begun here is found in the composer, and the other way round."""

from __future__ import annotations

from base64 import b64encode
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection
from django.utils import timezone

from delivery import saved_drafts
from delivery.models import DraftFile, SavedDraft
from organizations.scopes import Scope
from tests.api.conftest import assert_problem, fields

pytestmark = [pytest.mark.django_db, pytest.mark.proves("H3", "L1")]


@pytest.fixture
def api(api_of, alice):
    return api_of(alice)


def file(name: str, octets: bytes) -> dict[str, str]:
    return {"filename": name, "content_type": "application/pdf", "content": b64encode(octets).decode()}


def test_a_draft_is_begun_changed_found_in_the_composer_and_discarded(api, client_of, alice, mailbox):
    begun = api.post("/drafts", {"mailbox": mailbox.pk, "to": "bob@example.org", "subject": "Offer", "text": "Dear"})
    assert begun.status_code == 201
    draft = begun.data
    assert (draft["to"], draft["text"], draft["html"], draft["mailbox"]) == (
        "bob@example.org",
        "Dear",
        None,
        mailbox.pk,
    )
    assert [one["id"] for one in api.get("/drafts").data["items"]] == [draft["id"]]
    changed = api.patch(f"/drafts/{draft['id']}", {"html": "<p>Dear <b>Bob</b></p>"}).data
    assert (changed["html"], changed["subject"]) == ("<p>Dear <b>Bob</b></p>", "Offer")
    page = client_of(alice).get(SavedDraft.objects.get().url)
    assert page.context["form"].initial["html"] == "<p>Dear <b>Bob</b></p>"
    assert page.context["form"].initial["format"] == "rich"
    assert api.delete(f"/drafts/{draft['id']}").status_code == 204
    assert api.get("/drafts").data["items"] == []


def test_its_files_are_those_that_were_sent_last(api, client_of, alice, mailbox):
    draft = api.post("/drafts", {"attachments": [file("a.pdf", b"1"), file("b.pdf", b"22")]}).data
    assert [(one["filename"], one["size"]) for one in draft["attachments"]] == [("a.pdf", 1), ("b.pdf", 2)]
    assert "b.pdf" in client_of(alice).get(SavedDraft.objects.get().url).content.decode()
    kept = api.patch(f"/drafts/{draft['id']}", {"subject": "Two files"}).data
    assert len(kept["attachments"]) == 2
    assert api.patch(f"/drafts/{draft['id']}", {"attachments": []}).data["attachments"] == []
    assert not DraftFile.objects.exists()


def test_too_many_files_are_told_at_their_field_and_nothing_of_the_call_is_kept(api, monkeypatch):
    monkeypatch.setattr(saved_drafts, "MOST_OCTETS", 500)
    answer = api.post("/drafts", {"subject": "Large", "attachments": [file("a.pdf", b"1" * 501)]})
    assert fields(answer) == ["attachments"]
    assert not SavedDraft.objects.exists()


def test_a_program_cannot_push_out_what_a_person_has_begun(api, alice, monkeypatch):
    monkeypatch.setattr(saved_drafts, "MOST", 2)
    saved_drafts.save(alice, "mine", "compose", None, {"subject": "Precious"}, timezone.now())
    second = api.post("/drafts", {"subject": "Second"}).data
    assert_problem(api.post("/drafts", {"subject": "Third"}), 409, "drafts-full")
    assert set(SavedDraft.objects.values_list("subject", flat=True)) == {"Precious", "Second"}
    assert api.patch(f"/drafts/{second['id']}", {"subject": "Still written"}).status_code == 200
    api.delete(f"/drafts/{second['id']}")
    assert api.post("/drafts", {"subject": "Third"}).status_code == 201


def test_the_text_of_drafts_counts_with_their_files(api, monkeypatch):
    draft = api.post("/drafts", {"text": "x" * 600, "attachments": [file("a.pdf", b"1" * 300)]}).data
    monkeypatch.setattr(saved_drafts, "MOST_OCTETS", 1_000)
    assert_problem(api.post("/drafts", {"html": "y" * 200}), 409, "drafts-full")
    assert_problem(api.patch(f"/drafts/{draft['id']}", {"text": "x" * 800}), 409, "drafts-full")
    assert SavedDraft.objects.get().fields["text"] == "x" * 600
    assert api.patch(f"/drafts/{draft['id']}", {"text": "Shorter"}).status_code == 200
    assert api.post("/drafts", {"html": "y" * 200}).status_code == 201


def test_drafts_from_before_they_were_measured_count_as_if_they_were_saved_again(api):
    api.post("/drafts", {"subject": "Größe", "text": "x" * 600})
    [size] = SavedDraft.objects.values_list("size", flat=True)
    SavedDraft.objects.update(size=0)
    import_module("delivery.migrations.0025_measure_drafts").measure(apps, connection.schema_editor())
    assert SavedDraft.objects.get().size == size > 600


@pytest.mark.proves("A1", "F3")
def test_the_draft_of_another_person_is_not_there(api, api_of, bob):
    draft = api.post("/drafts", {"subject": "Mine"}).data
    other = api_of(bob)
    assert other.get("/drafts").data["items"] == []
    for answer in (other.get(f"/drafts/{draft['id']}"), other.patch(f"/drafts/{draft['id']}", {"subject": "x"})):
        assert_problem(answer, 404, "not-found")


def test_reading_and_writing_need_their_scopes(api_of, alice):
    assert api_of(alice, Scope.DRAFTS_READ).post("/drafts", {}).status_code == 403
    assert api_of(alice, Scope.OUTBOX_READ, Scope.OUTBOX_SEND).get("/drafts").status_code == 403
