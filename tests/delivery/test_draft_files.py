"""Files of a draft: kept as they are chosen, offered again, sent from there, and gone with it."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from delivery import saved_drafts
from delivery.lost_files import NAMELESS, refusal
from delivery.models import DraftFile, OutboxMessage, SavedDraft
from protocols.message.content import open_message
from tests.delivery.writing import COMPOSE, filled, initial

pytestmark = [pytest.mark.django_db, pytest.mark.proves("H3")]
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def client(client_of, alice):
    return client_of(alice)


@pytest.fixture
def draft(client):
    body = {"kind": "compose", "original": None, "fields": {"to": "bob@example.org", "subject": "Half", "keep": []}}
    client.post(reverse("delivery:save-draft", args=[KEY]), json.dumps(body), content_type="application/json")
    return SavedDraft.objects.get()


def keep(client, *files: tuple[str, bytes], key: str = KEY, **marks: list[str]):
    chosen = [SimpleUploadedFile(name, octets, "application/pdf") for name, octets in files]
    return client.post(reverse("delivery:draft-files", args=[key]), {"file": chosen, **marks})


def paths(answer) -> list[str]:
    return [one["path"] for one in answer.json()["files"]]


def attached(message: OutboxMessage) -> list[tuple[str, int]]:
    return [(part.filename, part.size) for part in open_message(bytes(message.raw)).attachments]


def test_a_chosen_file_is_there_again_and_leaves_with_the_mail(client, draft, sending_mailbox):
    [path] = paths(keep(client, ("offer.pdf", b"%PDF offer")))
    page = client.get(COMPOSE, {"draft": KEY})
    assert initial(page)["keep"] == [path]
    assert "offer.pdf" in page.content.decode()
    assert "With attachments" in client.get(reverse("delivery:drafts")).content.decode()
    typed = filled(sending_mailbox, submission_key=KEY, keep=[path], offered=[path])
    assert client.post(COMPOSE, typed).status_code == 302
    assert attached(OutboxMessage.objects.get()) == [("offer.pdf", 10)]
    assert not DraftFile.objects.exists()


def test_other_files_chosen_instead_take_the_place_of_the_first(client, draft):
    first = keep(client, ("old.pdf", b"1")).json()["chosen"]
    keep(client, ("new.pdf", b"22"), ("more.pdf", b"333"), removed=first)
    assert [(one.filename, one.size) for one in saved_drafts.files(draft.user, KEY)] == [
        ("new.pdf", 2),
        ("more.pdf", 3),
    ]


def test_a_window_does_not_remove_files_that_another_one_has_added(client, draft):
    [mine] = keep(client, ("mine.pdf", b"1")).json()["chosen"]
    keep(client, ("theirs.pdf", b"22"))  # from another window
    keep(client, ticked=[mine])
    keep(client, ("other.pdf", b"333"), removed=[mine])
    assert [one.filename for one in saved_drafts.files(draft.user, KEY)] == ["theirs.pdf", "other.pdf"]


def test_an_upload_whose_answer_was_lost_may_be_repeated(client, draft):
    first = keep(client, ("offer.pdf", b"%PDF offer"), ("terms.pdf", b"%PDF")).json()["chosen"]
    again = keep(client, ("offer.pdf", b"%PDF offer"), ("terms.pdf", b"%PDF"), ("terms.pdf", b"%PDX")).json()["chosen"]
    assert again[:2] == first
    assert [one.filename for one in saved_drafts.files(draft.user, KEY)] == ["offer.pdf", "terms.pdf", "terms.pdf"]


def test_an_unticked_file_stays_unticked_and_does_not_travel(client, draft, sending_mailbox):
    first, second = paths(keep(client, ("a.pdf", b"1"), ("b.pdf", b"22")))
    keep(client, ticked=[second], unticked=[first])
    page = client.get(COMPOSE, {"draft": KEY})
    assert initial(page)["keep"] == [second]
    assert "a.pdf" in page.content.decode()
    typed = filled(sending_mailbox, submission_key=KEY, keep=[second], offered=[first, second])
    client.post(COMPOSE, typed)
    assert attached(OutboxMessage.objects.get()) == [("b.pdf", 2)]


def test_a_form_that_still_has_the_file_itself_shows_it_once_and_sends_it_once(client, draft, sending_mailbox):
    keep(client, ("offer.pdf", b"%PDF offer"))
    file = SimpleUploadedFile("offer.pdf", b"%PDF offer", "application/pdf")
    wrong = client.post(COMPOSE, filled(sending_mailbox, submission_key=KEY, to="", attachments=[file]))
    assert wrong.status_code == 422
    assert wrong.context["form"].fields["keep"].choices == []
    file.seek(0)
    client.post(COMPOSE, filled(sending_mailbox, submission_key=KEY, attachments=[file]))
    assert attached(OutboxMessage.objects.get()) == [("offer.pdf", 10)]


def test_where_there_is_no_room_the_page_is_told_and_nothing_goes_by_itself(client, draft, monkeypatch):
    monkeypatch.setattr(saved_drafts, "MOST", 1)
    body = {"kind": "compose", "original": None, "fields": {"subject": "One more"}}
    answer = client.post(reverse("delivery:save-draft", args=["b" * 32]), body, content_type="application/json")
    assert answer.status_code == 422
    assert answer.json() == {"problem": "You have 1 drafts already. Discard some of them.", "is_full": True}
    assert [one.subject for one in SavedDraft.objects.all()] == ["Half"]


def test_what_is_too_large_is_refused_and_the_earlier_files_stay(client, draft, monkeypatch):
    monkeypatch.setattr(saved_drafts, "MAX_ATTACHMENTS_SIZE", 10)
    kept = paths(keep(client, ("small.pdf", b"12345")))
    answer = keep(client, ("large.pdf", b"123456"), ticked=kept)
    assert answer.status_code == 422
    assert "too many or too large to be kept with the draft: 10" in answer.json()["problem"].replace("\xa0", " ")
    assert [one.filename for one in saved_drafts.files(draft.user, KEY)] == ["small.pdf"]


def test_all_drafts_of_a_person_hold_so_much_and_no_more(client, draft, monkeypatch):
    monkeypatch.setattr(saved_drafts, "MOST_OCTETS", 4)
    answer = keep(client, ("a.pdf", b"12345"))
    assert answer.status_code == 422
    assert "Discard one with large files." in answer.json()["problem"]
    assert not DraftFile.objects.exists()


@pytest.mark.proves("A1", "F3")
def test_nobody_else_reads_sends_or_changes_them(client, client_of, draft, bob, make_mailbox, sink):
    [path] = paths(keep(client, ("offer.pdf", b"%PDF offer")))
    other = client_of(bob)
    assert keep(other, ("x.pdf", b"1")).status_code == 422
    assert "offer.pdf" not in other.get(COMPOSE, {"draft": KEY}).content.decode()
    mailbox = make_mailbox("bob@example.org", bob, smtp_host="127.0.0.1", smtp_port=sink.port, smtp_security="none")
    typed = filled(mailbox, submission_key=KEY, keep=[path], offered=[path])
    assert other.post(COMPOSE, typed).status_code == 422
    assert not OutboxMessage.objects.exists()


@pytest.fixture
def lost(client, draft, sending_mailbox):
    """What Send posts from a window whose draft was discarded in another one, with the file it shows."""
    [path] = paths(keep(client, ("offer.pdf", b"%PDF offer")))
    page = client.get(COMPOSE, {"draft": KEY}).content.decode()
    assert f'name="offered" value="{path} offer.pdf"' in page
    client.post(reverse("delivery:discard-draft", args=[KEY]))
    return filled(sending_mailbox, submission_key=KEY, keep=[path], offered=[f"{path} offer.pdf"])


def test_a_mail_whose_file_is_gone_names_it_and_is_not_sent_however_often_it_is_tried(client, lost):
    for _ in range(2):
        answer = client.post(COMPOSE, lost)
        assert answer.status_code == 422
        page = answer.content.decode()
        assert "“offer.pdf” is gone" in page
        assert "<b>(gone)</b>" in page
        assert f'name="offered" value="{lost["offered"][0]}"' in page
        assert answer.context["form"]["keep"].value() == lost["keep"]
    assert not OutboxMessage.objects.exists()


def test_a_file_that_is_gone_is_left_out_once_it_is_unticked(client, lost):
    client.post(COMPOSE, lost)
    assert client.post(COMPOSE, {**lost, "keep": []}).status_code == 302
    assert attached(OutboxMessage.objects.get()) == []


def test_a_file_that_is_gone_may_be_chosen_again(client, lost):
    chosen = SimpleUploadedFile("offer.pdf", b"%PDF offer", "application/pdf")
    assert client.post(COMPOSE, {**lost, "attachments": [chosen]}).status_code == 302
    assert attached(OutboxMessage.objects.get()) == [("offer.pdf", 10)]


def test_a_second_press_of_send_is_told_of_the_mail_and_not_of_a_lost_file_alone(client, draft, sending_mailbox):
    [path] = paths(keep(client, ("offer.pdf", b"%PDF offer")))
    typed = filled(sending_mailbox, submission_key=KEY, keep=[path], offered=[f"{path} offer.pdf"])
    client.post(COMPOSE, typed)
    page = client.post(COMPOSE, typed).content.decode()
    assert reverse("delivery:message", args=[OutboxMessage.objects.get().pk]) in page


def test_many_files_that_are_gone_are_told_in_one_sentence():
    names = [f"{number}.pdf" for number in range(7)]
    assert refusal(names[:2]).startswith("“0.pdf” and “1.pdf” are gone: ")
    assert "“4.pdf” and 2 more are gone" in refusal(names)
    assert refusal([NAMELESS]).startswith("A file is gone: ")


def test_a_discarded_draft_takes_its_files_along_and_late_ones_find_no_place(client, draft):
    keep(client, ("offer.pdf", b"%PDF offer"))
    client.post(reverse("delivery:discard-draft", args=[KEY]))
    assert not DraftFile.objects.exists()
    assert keep(client, ("offer.pdf", b"%PDF offer")).status_code == 422


def test_the_draft_of_a_mail_that_was_taken_back_opens_where_its_files_are(client, draft):
    SavedDraft.objects.update(key="reopened-7")
    page = client.get(reverse("delivery:drafts")).content.decode()
    assert f"{reverse('delivery:reopen', args=[7])}?draft=reopened-7" in page
