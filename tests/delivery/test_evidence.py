"""What a find proves about a message whose outcome is not known: rows and finds in, a verdict out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.utils import timezone

from delivery.evidence import Copy, Finds, judge
from delivery.models import Attempt, Look, OutboxMessage, OutboxRecipient
from delivery.states import State

OURS = Copy("alice@example.org", in_sent=True, is_traced=False)
TRACED = replace(OURS, is_traced=True)
AT_BOB = Copy("bob@example.org", in_sent=False, is_traced=True)
Result = Look.Result


def lost_answer(pk: int = 1, **changes: object) -> Attempt:
    """All was out, and no answer came."""
    return Attempt(**{"pk": pk, "final_dot_at": timezone.now(), "replies": [], "code": 0, **changes})


def answered(pk: int, *codes: int) -> Attempt:
    replies = [
        {"address": address, "code": code, "text": ""}
        for address, code in zip(("bob@example.org", "carol@example.org"), codes, strict=False)
    ]
    return lost_answer(pk, replies=replies, code=max(codes))


def unsure(address: str = "bob@example.org", claim: int = 1, state: State = State.UNCERTAIN) -> OutboxRecipient:
    return OutboxRecipient(address=address, claim=claim, state=state)


CAROL = "carol@example.org"
BOB_AND_CAROL = [unsure(), unsure(CAROL)]


def verdict(recipients, attempts, finds, *, filed: int = 0) -> tuple[str, list[str]]:
    told = judge(OutboxMessage(sent_copy_tries=filed), recipients, attempts, finds)
    assert told.sentence
    return told.result, [one.address for one in told.sent]


@pytest.mark.proves("R19", "I3")
@pytest.mark.parametrize(
    "finds",
    [Finds((OURS,)), Finds((TRACED,)), Finds((AT_BOB,)), Finds(answered=True), Finds((OURS,), complete=False)],
    ids=["filed by the server", "marked by a server", "arrived at one of us", "answered", "not all was seen"],
)
def test_a_trace_of_the_only_handing_over_settles_all_of_it(finds):
    assert verdict(BOB_AND_CAROL, [lost_answer()], finds) == (
        Result.SENT,
        ["bob@example.org", "carol@example.org"],
    )


@pytest.mark.proves("R19", "R21")
def test_a_copy_that_we_may_have_filed_ourselves_proves_nothing():
    assert verdict([unsure()], [lost_answer()], Finds((OURS,)), filed=1) == (Result.NOTHING, [])
    assert verdict([unsure()], [lost_answer()], Finds((TRACED,)), filed=1)[0] == Result.SENT


def test_a_copy_elsewhere_without_the_mark_of_a_server_proves_nothing():
    moved = Copy("alice@example.org", in_sent=False, is_traced=False)
    assert verdict([unsure()], [lost_answer()], Finds((moved,))) == (Result.NOTHING, [])


@pytest.mark.proves("R19")
@pytest.mark.parametrize(
    "earlier",
    [answered(1, 250, 450), lost_answer(1)],
    ids=["others were accepted before", "another answer was lost before"],
)
def test_a_trace_that_may_stem_from_another_handing_over_settles_nobody(earlier):
    people = [unsure(state=State.SENT), unsure(CAROL, claim=2)]
    assert verdict(people, [earlier, lost_answer(2)], Finds((OURS,))) == (Result.UNCLEAR, [])
    assert verdict(people, [earlier, lost_answer(2)], Finds((AT_BOB,))) == (Result.UNCLEAR, [])
    at_carol = replace(AT_BOB, holder="Carol@example.org")
    assert verdict(people, [earlier, lost_answer(2)], Finds((at_carol,))) == (Result.SENT, ["carol@example.org"])


def test_a_handing_over_that_the_server_refused_as_a_whole_leaves_no_doubt():
    people = [unsure(claim=2), unsure(CAROL, claim=2)]
    attempts = [answered(1, 451, 451), Attempt(pk=3), lost_answer(2)]
    assert verdict(people, attempts, Finds((OURS,)))[0] == Result.SENT


@pytest.mark.parametrize("refusal", [answered(2, 550), Attempt(pk=2, code=550, final_dot_at=timezone.now())])
def test_a_trace_settles_whose_answer_was_lost_in_it_though_a_later_one_was_refused(refusal):
    bob = unsure(claim=2)
    bob.may_have_left_in = 1
    attempts = [lost_answer(1), refusal]
    assert verdict([bob, unsure(CAROL)], attempts, Finds((OURS,))) == (Result.SENT, ["bob@example.org", CAROL])
    bob.may_have_left_in = 0  # since a backup, and not since that attempt
    assert verdict([bob, unsure(CAROL)], attempts, Finds((OURS,))) == (Result.UNCLEAR, [])


@pytest.mark.proves("R2", "R19")
def test_of_several_recipients_of_a_worker_that_vanished_nobody_knows_whom_the_server_took():
    lost = lost_answer(was_lost=True)
    assert verdict(BOB_AND_CAROL, [lost], Finds((OURS,))) == (Result.UNCLEAR, [])
    assert verdict([unsure()], [lost], Finds((OURS,)))[0] == Result.SENT


@pytest.mark.proves("R38")
def test_what_a_restored_backup_made_uncertain_is_settled_by_a_trace_only_where_one_person_was_to_get_it():
    people = [unsure(claim=0)]
    assert verdict(people, [], Finds((OURS,)))[0] == Result.SENT
    assert verdict([*people, unsure(CAROL, claim=0)], [], Finds((OURS,))) == (Result.UNCLEAR, [])
    assert verdict([*people, unsure(CAROL, claim=0)], [], Finds((AT_BOB,))) == (Result.SENT, ["bob@example.org"])


@pytest.mark.proves("I7")
def test_a_report_about_one_recipient_shows_that_the_others_left_too():
    people = [unsure(state=State.BOUNCED), unsure(CAROL)]
    assert verdict(people, [lost_answer()], Finds()) == (Result.SENT, ["carol@example.org"])


def test_an_answer_that_came_after_the_claim_was_lost_still_counts():
    assert verdict(BOB_AND_CAROL, [answered(1, 250, 550)], Finds()) == (Result.SENT, ["bob@example.org"])


@pytest.mark.proves("R19")
def test_nothing_found_is_told_with_what_it_is_worth():
    [one] = people = [unsure()]
    message = OutboxMessage()
    told = judge(message, people, [lost_answer()], Finds())
    assert told.sentence.startswith("As far as is known the server files no sent mail by itself")
    told = judge(message, people, [lost_answer()], Finds(), filing_provider="Filing Mail")
    assert told.sentence.startswith("Filing Mail files in Sent what it takes, so it was probably not sent.")
    told = judge(message, people, [lost_answer()], Finds(complete=False), filing_provider="Filing Mail")
    assert (told.result, told.sentence) == (Result.PREVENTED, "So this look tells nothing yet.")
    assert one.state == State.UNCERTAIN
