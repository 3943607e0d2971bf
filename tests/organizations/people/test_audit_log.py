"""Reading the audit log: its words, its filters, its pages and its file."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections
from django.utils import timezone

from organizations import audit, audit_log, people, spreadsheets
from organizations.audit_log import NOBODY, Filters
from organizations.audit_words import ACTIONS, words_for
from organizations.models import AuditEntry

LOG = "/logs/audit"
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def log(administrator, alice, sales):
    """Five entries, the oldest first: Ada, Alice, Alice, the system, somebody since removed."""
    rows = [
        ("role.renamed", administrator, sales, AuditEntry.Outcome.DONE),
        ("user.sign_in", alice, alice, AuditEntry.Outcome.REFUSED),
        ("mailbox.deleted", alice, None, AuditEntry.Outcome.DONE),
        ("mailbox.connected", None, None, AuditEntry.Outcome.FAILED),
        ("user.sign_in", alice, alice, AuditEntry.Outcome.DONE),
    ]
    made = []
    for day, (action, actor, target, outcome) in enumerate(rows):
        entry = audit.record(
            action, organization=alice.organization, actor=actor, target=target, outcome=outcome, detail={"number": day}
        )
        AuditEntry.objects.filter(pk=entry.pk).update(at=AT + timedelta(days=day))
        made.append(entry.pk)
    AuditEntry.objects.filter(action="mailbox.deleted").update(
        object_type="mailbox", object_id="12", object_label="Sales@example.org"
    )
    return made


@pytest.mark.proves("A8")
@pytest.mark.parametrize(
    ("query", "days"),
    [
        ("", [4, 3, 2, 1, 0]),
        ("action=user.sign_in", [4, 1]),
        ("outcome=refused", [1]),
        ("outcome=failed", [3]),
        ("person=0", [3]),
        ("name=sales@EXAMPLE.org", [2]),
        ("name=sales", [0]),
        ("object=mailbox:12", [2]),
        ("object=mailbox:1", []),
        ("since=2026-03-02&until=2026-03-03", [2, 1]),
        ("action=user.sign_in&outcome=done", [4]),
        ("person=99999999999999999999", [4, 3, 2, 1, 0]),
        ("person=x&action=y&outcome=z&since=yesterday", [4, 3, 2, 1, 0]),
        ("until=9999-12-31", [4, 3, 2, 1, 0]),
        ("name=%00", [4, 3, 2, 1, 0]),
        ("object=mailbox:12%00", [4, 3, 2, 1, 0]),
        ("after=nonsense", [4, 3, 2, 1, 0]),
    ],
)
def test_the_log_is_narrowed_and_a_filter_that_is_none_narrows_nothing(as_administrator, log, query, days):
    answer = as_administrator.get(f"{LOG}?{query}")
    assert answer.status_code == 200
    assert [entry.detail.get("number") for entry in answer.context["page"].rows] == days


def test_one_persons_deeds_are_found(as_administrator, log, alice):
    rows = as_administrator.get(f"{LOG}?person={alice.pk}").context["page"].rows
    assert [entry.detail["number"] for entry in rows] == [4, 2, 1]


@pytest.mark.proves("A8")
def test_entries_stand_in_plain_words_with_their_details(as_administrator, log):
    page = as_administrator.get(LOG).content.decode()
    for words in ("Email account deleted", "Sales@example.org", "Refused", "Number", "mailbox.deleted"):
        assert words in page


def test_an_action_without_words_is_readable_all_the_same():
    assert words_for("mail_rule.switched_off") == "Mail rule: switched off"
    assert all("." in action for group in ACTIONS.values() for action in group)


@pytest.mark.proves("A8")
def test_what_our_pages_record_has_words(as_administrator, mona, alice, sales, account_server):
    as_administrator.post("/people/account-mail/test")
    as_administrator.post("/people/invite", {"name": "N", "email": "n@example.org"})
    as_administrator.post(f"/people/{alice.pk}", {"name": "Alice L.", "email": "alice.l@example.org"})
    as_administrator.post(f"/people/{alice.pk}/roles", {"role": sales.pk})
    as_administrator.post(f"/people/{alice.pk}/deactivate")
    as_administrator.post(f"/people/{alice.pk}/remove")
    known = {action for group in ACTIONS.values() for action in group}
    assert set(AuditEntry.objects.values_list("action", flat=True)) - known == set()


def test_pages_follow_each_other_also_among_entries_of_one_moment(as_administrator, administrator):
    rows = [
        AuditEntry(organization=administrator.organization, actor_label="System", action="user.sign_in")
        for _ in range(95)
    ]
    AuditEntry.objects.bulk_create(rows)
    AuditEntry.objects.update(at=AT)
    seen, query = [], ""
    while True:
        answer = as_administrator.get(f"{LOG}{query}", headers={"HX-Request": "true"})
        page = answer.context["page"]
        seen += [entry.pk for entry in page.rows]
        if not page.next:
            break
        query = answer.context["older"]
    assert (len(seen), len(set(seen))) == (95, 95)


def test_the_number_of_queries_does_not_grow_with_entries(as_administrator, assert_queries, administrator):
    def grow() -> None:
        for _ in range(10):
            audit.record(
                "user.sign_in", organization=administrator.organization, actor=administrator, target=administrator
            )

    grow()
    assert_queries.constant(lambda: as_administrator.get(LOG), grow)


# --- The file -----------------------------------------------------------------------------------------------------


def rows_of(answer) -> list[list[str]]:
    return list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))


@pytest.mark.proves("A8")
def test_the_file_holds_what_the_filters_leave_and_that_it_was_taken_is_recorded(as_administrator, log, monkeypatch):
    monkeypatch.setattr(audit_log, "BATCH", 1)
    answer = as_administrator.get(f"{LOG}/export?action=user.sign_in")
    head, *rows = rows_of(answer)
    assert head[0] == "time (UTC)"
    assert [row[8] for row in rows] == ["number: 4", "number: 1"]
    assert rows[0][:4] == ["2026-03-05T12:00:00+00:00", "Alice", "Sign-in", "user.sign_in"]
    [entry] = AuditEntry.objects.filter(action="audit.exported")
    assert (entry.actor_label, entry.detail) == ("Ada", {"action": "user.sign_in"})


@pytest.mark.proves("A8", "F3")
def test_a_file_that_is_under_way_ends_with_the_right_to_it(as_mona, mona, administrator, log, monkeypatch):
    monkeypatch.setattr(audit_log, "BATCH", 1)
    pieces = iter(as_mona.get(f"{LOG}/export").streaming_content)
    began = [next(pieces), next(pieces)]
    people.deactivate(mona, by=administrator, now=timezone.now())
    assert len(began) == 2
    assert [piece.decode().strip() for piece in pieces] == [audit_log.ENDED_EARLY]


def test_a_cell_that_a_spreadsheet_would_run_is_disarmed(as_administrator, administrator, sales):
    for name in ("=1+1", "@SUM(A1)", "+1", "-1"):
        type(sales).objects.filter(pk=sales.pk).update(name=name)
        sales.refresh_from_db()
        audit.record("role.renamed", organization=sales.organization, actor=administrator, target=sales)
    cells = [row[5] for row in rows_of(as_administrator.get(f"{LOG}/export?action=role.renamed"))[1:]]
    assert sorted(cells) == ["'+1", "'-1", "'=1+1", "'@SUM(A1)"]


@pytest.mark.django_db(transaction=True)
def test_under_asgi_the_file_leaves_piece_by_piece(administrator, log, monkeypatch):
    monkeypatch.setattr(audit_log, "BATCH", 2)
    found = audit_log.search(administrator.organization, Filters())

    async def pieces() -> list[str]:
        try:
            return [piece async for piece in spreadsheets.one_by_one(audit_log.as_csv(found, administrator))]
        finally:
            await sync_to_async(connections.close_all)()  # of the thread that read

    assert len(asyncio.run(pieces())) == 4  # the head, and five entries by two


# --- A long log ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "filters",
    [
        Filters(),
        Filters(actor_pk=1),
        Filters(actor_pk=NOBODY),
        Filters(action="user.sign_in"),
        Filters(outcome="refused"),
        Filters(object_type="mailbox", object_id="12"),
        Filters(object_name="Sales@example.org"),
        Filters(since=AT, until=AT + timedelta(days=1)),
    ],
    ids=str,
)
def test_every_filter_walks_along_an_index(organization, filters):
    """No sorting, and no reading of what is not shown: a million rows cost what forty cost."""
    found = audit_log.search(organization, filters).order_by("-at", "-pk")[:41]
    if connection.vendor == "sqlite":
        plan = found.explain()
        assert "USE TEMP B-TREE" not in plan
        assert "USING INDEX audit_" in plan
        return
    now = timezone.now()
    fill = [
        AuditEntry(
            organization=organization,
            actor_label="System",
            action=f"thing.done_{number % 50}",
            object_type="mailbox",
            object_id=str(number % 200),
            object_label=f"box{number % 200}@example.org",
            outcome="done",
        )
        for number in range(20_000)
    ]
    AuditEntry.objects.bulk_create(fill, batch_size=5000)
    AuditEntry.objects.update(at=now)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE organizations_auditentry")
    assert "Seq Scan" not in found.explain()
