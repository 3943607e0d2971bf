"""Deciding about all mail that the filters leave, the log as a file, and letting old mail go."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import MailboxGrant
from delivery import log, log_export, log_runs, retention
from delivery.models import LogRetention, LogRun, OutboxMessage, OutboxOctets
from delivery.states import Decision, RunState, SentCopy, State
from delivery.tasks import carry_on_run
from organizations.models import AuditEntry
from tests.delivery.conftest import states
from tests.delivery.moving import put

pytestmark = [pytest.mark.django_db, pytest.mark.proves("I9")]

LOG = "/logs/email"


@pytest.fixture
def failed(make_message, sending_mailbox, alice):
    """Three messages that failed for one of two, and one that was sent."""
    made = [
        make_message(sending_mailbox, alice, f"bob{number}@example.org", "carol@example.org", subject="Autumn offer")
        for number in range(4)
    ]
    for message in made:
        put(message.recipients.all(), State.SENT)
    for message in made[:3]:
        put(message.recipients.filter(address__startswith="bob"), State.FAILED)
    return made[:3]


def start(client, decision: str, number: int, **filters: str):
    url = reverse("delivery:log-ask", args=[decision])
    query = "&".join(f"{name}={value}" for name, value in filters.items())
    return client.post(f"{url}?{query}", {"number": number, "submission_key": "once"})


def test_the_question_tells_the_number_and_shows_the_newest(client_of, failed, alice):
    page = client_of(alice).get(reverse("delivery:log-ask", args=["try-again"]) + "?q=autumn").content.decode()
    assert "Try 3 messages again" in page
    assert page.count("Failed for 1 of 2") == 3
    nothing = client_of(alice).get(reverse("delivery:log-ask", args=["try-again"]) + "?q=winter").content.decode()
    assert "No message fits these filters." in nothing


def test_all_that_failed_are_tried_again_and_nobody_else_gets_it(client_of, failed, alice):
    client = client_of(alice)
    assert start(client, "try-again", 3, q="autumn").status_code == 302
    run = LogRun.objects.get()
    carry_on_run(run.pk)
    carry_on_run(run.pk)  # delivered twice
    run.refresh_from_db()
    assert (run.state, run.done, run.skipped, run.place) == (RunState.FINISHED, 3, 0, 3)
    for number, message in enumerate(failed):
        assert states(message) == {f"bob{number}@example.org": State.QUEUED, "carol@example.org": State.SENT}
    assert "3 queued again" in client.get(reverse("delivery:log-run", args=[run.pk])).content.decode()
    assert list(AuditEntry.objects.filter(action="outbox.run_started").values_list("actor", flat=True)) == [alice.pk]


def test_a_double_click_begins_one_run_and_another_number_none(client_of, failed, alice):
    client = client_of(alice)
    assert start(client, "resend", 3).status_code == 422  # there are four
    assert not LogRun.objects.exists()
    assert start(client, "resend", 4).url == start(client, "resend", 4).url
    carry_on_run(LogRun.objects.get().pk)
    assert OutboxMessage.objects.filter(resend_of__isnull=False).count() == 4


def test_a_run_goes_on_where_a_worker_stopped_and_doubles_nothing(failed, alice, monkeypatch):
    keys = [message.pk for message in failed]
    run = log_runs.start(alice, Decision.RESEND, keys, {}, timezone.now(), submission_key="1")
    decide, turns = log_runs._decide, []

    def killed_at_the_second(*args: object) -> str:
        turns.append(args)
        reason = decide(*args)
        if len(turns) == 2:
            raise KeyboardInterrupt
        return reason

    monkeypatch.setattr(log_runs, "_decide", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        carry_on_run(run.pk)
    assert OutboxMessage.objects.filter(resend_of__isnull=False).count() == 1
    carry_on_run(run.pk)  # the lease of the worker that stopped still holds
    assert len(turns) == 2
    LogRun.objects.update(leased_until=timezone.now())
    carry_on_run(run.pk)
    assert sorted(OutboxMessage.objects.filter(resend_of__isnull=False).values_list("resend_of", flat=True)) == keys
    run.refresh_from_db()
    assert (run.state, run.done) == (RunState.FINISHED, 3)


def test_what_may_not_be_sent_is_passed_over_and_counted(make_message, shared_mailbox, failed, alice, bob):
    MailboxGrant.objects.filter(user=bob).update(may_send=False, may_access=True)
    theirs = make_message(shared_mailbox, alice, "x@example.org")
    put(theirs.recipients.all(), State.SENT)
    waiting = make_message(failed[0].mailbox, alice, "y@example.org")
    run = log_runs.start(bob, Decision.RESEND, [theirs.pk, 10**9], {}, timezone.now(), submission_key="1")
    carry_on_run(run.pk)
    run.refresh_from_db()
    assert (run.done, run.skipped) == (0, 2)
    assert run.reasons == {log_runs.NOT_YOURS: 1, log_runs.GONE: 1}
    own = log_runs.start(alice, Decision.RESEND, [waiting.pk], {}, timezone.now(), submission_key="2")
    carry_on_run(own.pk)
    own.refresh_from_db()
    assert own.reasons == {log_runs.UNSETTLED: 1}


def test_a_run_can_be_stopped_by_its_author_alone(client_of, failed, alice, charlie):
    keys = [message.pk for message in failed]
    run = log_runs.start(alice, Decision.RESEND, keys, {}, timezone.now(), submission_key="1")
    url = reverse("delivery:log-run-stop", args=[run.pk])
    assert client_of(charlie).post(url).status_code == 404
    assert "What has been done stays done" in client_of(alice).post(url, follow=True).content.decode()
    carry_on_run(run.pk)
    assert not OutboxMessage.objects.filter(resend_of__isnull=False).exists()


def test_more_than_a_run_takes_is_refused_with_a_sentence(client_of, failed, alice, monkeypatch):
    monkeypatch.setattr(log_runs, "MOST", 2)
    answer = start(client_of(alice), "resend", 4)
    assert answer.status_code == 422
    assert "Narrow them" in answer.content.decode()


# --- The file ---------------------------------------------------------------------------------------------------


def test_the_file_has_a_line_for_each_recipient_and_runs_nothing(client_of, make_message, sending_mailbox, alice, bob):
    make_message(sending_mailbox, alice, "a@example.org", "b@example.org", subject='=HYPERLINK("http://x")')
    make_message(sending_mailbox, alice, "c@example.org", subject="Other")
    answer = client_of(alice).get(f"{LOG}/export?q=hyperlink")
    assert answer["Content-Type"].startswith("text/csv")
    head, *lines = csv.reader(io.StringIO(answer.getvalue().decode()))
    assert [dict(zip(head, line, strict=True))["recipient"] for line in lines] == ["a@example.org", "b@example.org"]
    assert {line[head.index("subject")] for line in lines} == {'\'=HYPERLINK("http://x")'}
    assert AuditEntry.objects.get(action="email_log.exported").detail == {"Search": "hyperlink"}
    assert len(client_of(bob).get(f"{LOG}/export").getvalue().decode().splitlines()) == 1


def test_the_file_is_read_a_batch_at_a_time(make_message, sending_mailbox, alice, monkeypatch):
    for number in range(7):
        make_message(sending_mailbox, alice, f"r{number}@example.org")
    monkeypatch.setattr(log, "BATCH", 3)
    pieces = list(log_export.as_csv(alice, log.Filters()))
    assert [piece.count("\r\n") for piece in pieces] == [1, 3, 3, 1]
    unfinished = log_export.as_csv(alice, log.Filters())
    next(unfinished), next(unfinished)
    alice.is_active = False
    alice.save(update_fields=["is_active"])
    assert list(unfinished) == [f"{log_export.ENDED_EARLY}\r\n"]


# --- Letting go -------------------------------------------------------------------------------------------------


def test_old_texts_go_before_old_rows_and_what_is_unsettled_stays(client_of, make_message, sending_mailbox, alice):
    now = timezone.now()
    ages = {"new": 1, "old": 100, "older": 1000, "waiting": 1000, "uncertain": 1000}
    made = {}
    for name, days in ages.items():
        at = now - timedelta(days=days)
        message = made[name] = make_message(sending_mailbox, alice, "bob@example.org", created_at=at, subject=name)
        state = {"waiting": State.QUEUED, "uncertain": State.UNCERTAIN}.get(name, State.FAILED)
        put(message.recipients.all(), state, state_at=at)
    LogRetention.objects.create(organization=alice.organization, octets_days=90, rows_days=900)
    retention.let_go(now)
    assert set(OutboxMessage.objects.values_list("subject", flat=True)) == set(ages) - {"older"}
    kept = OutboxOctets.objects.values_list("message__subject", flat=True)
    assert set(kept) == {"new", "waiting", "uncertain"}
    assert log.search(alice, log.Filters(text="older"), now).keys(5) == []
    page = client_of(alice).get(reverse("delivery:message", args=[made["old"].pk])).content.decode()
    assert "The text is no longer kept" in page
    assert "Send again to those who failed" not in page
    again = client_of(alice).post(reverse("delivery:decide", args=[made["old"].pk, "try-again"]), follow=True)
    assert "no longer kept" in again.content.decode()
    assert states(made["old"]) == {"bob@example.org": State.FAILED}


def test_what_never_left_is_not_kept_for_its_copy(make_message, sending_mailbox, alice):
    old = timezone.now() - timedelta(days=4000)
    marks = {"state": State.CANCELLED, "state_at": old}
    message = make_message(sending_mailbox, alice, sent_copy=SentCopy.WAITING, created_at=old, recipient=marks)
    retention.let_go(timezone.now())
    assert not OutboxMessage.objects.filter(pk=message.pk).exists()


def test_how_long_mail_is_kept_is_set_on_its_page(client_of, administrator, charlie):
    url = reverse("delivery:log-retention")
    assert client_of(charlie).get(url).status_code == 403
    client = client_of(administrator)
    assert 'value="365"' in client.get(url).content.decode()
    wrong = client.post(url, {"octets_days": "900", "rows_days": "90"})
    assert wrong.status_code == 422
    assert "type at most 90" in wrong.content.decode()
    assert client.post(url, {"octets_days": "30", "rows_days": ""}).status_code == 302
    kept = LogRetention.of(administrator.organization_id)
    assert (kept.octets_days, kept.rows_days) == (30, None)
    assert AuditEntry.objects.filter(action="email_log.retention_changed").count() == 1
