"""SIGKILL at every named step of a change, in a process of its own: one copy, in the right place (faults R2, R33)."""

from __future__ import annotations

import signal

import pytest

from mailstore.models import Arrival, Change, Message
from protocols.imap.changing import ChangeableFolder
from protocols.imap.session import ImapSession
from tests.mailstore.marking.conftest import Desk, Worker

pytestmark = pytest.mark.django_db(transaction=True)

MOVING = ["flags stored", "flags settled", "move announced", "moved", "move settled"]
COPYING = ["move announced", "copied", "copy noted", "original marked", "original removed", "move settled"]
REMOVING = ["removal announced", "original marked", "original removed", "removal settled"]
EVERYTHING = [*MOVING, *REMOVING]
WITHOUT_MOVE = ["flags stored", "flags settled", *COPYING, *REMOVING]
SLOW = pytest.mark.slow
CASES = [
    *(("", point) for point in dict.fromkeys(EVERYTHING)),
    *(("MOVE", point) for point in dict.fromkeys(WITHOUT_MOVE)),
    *(pytest.param("COPYUID", point, marks=SLOW) for point in ("move announced", "moved", "move settled")),
    *(pytest.param("MOVE COPYUID", point, marks=SLOW) for point in dict.fromkeys(COPYING)),
]


@pytest.fixture
def wishes(desk: Desk) -> Desk:
    """The first two letters are read and archived, the third is removed for good."""
    desk.mark(1, 2)
    desk.move(1, 2, to="Archive")
    desk.move(3, to=None)
    return desk


@pytest.mark.proves("R33")
@pytest.mark.parametrize(("without", "points"), [("", EVERYTHING), ("MOVE", WITHOUT_MOVE)])
def test_the_list_of_points_is_complete(wishes: Desk, run_worker: Worker, tmp_path, without, points):
    log = tmp_path / "passed"
    assert run_worker(without, log=str(log)) == 0
    assert log.read_text().splitlines() == points


@pytest.mark.proves("R2", "R32", "R33")
@pytest.mark.parametrize(("without", "point"), CASES)
def test_a_worker_killed_at_any_point_leaves_one_copy_in_the_right_place(
    wishes: Desk, run_worker: Worker, monkeypatch, without, point
):
    before = dict(Message.objects.values_list("subject", "pk"))
    assert run_worker(without, stop=point) == -signal.SIGKILL
    wishes.account.sync()  # whatever stage it is in, a sync meanwhile does no harm
    offer_less(monkeypatch, without)
    for _ in range(2):
        wishes.carry_out()
    assert wishes.on_server() == {}
    assert wishes.on_server("Archive") == {"Letter 1": {r"\Seen"}, "Letter 2": {r"\Seen"}}
    assert not Change.objects.open().exists()
    assert wishes.problems() == []
    wishes.account.sync()
    assert wishes.account.subjects() == []
    shown = dict(Message.objects.live().values_list("subject", "pk"))
    assert shown == {subject: before[subject] for subject in ("Letter 1", "Letter 2")}
    assert wishes.account.subjects("Archive") == ["Letter 1", "Letter 2"]
    assert not Arrival.objects.exists()


def offer_less(monkeypatch: pytest.MonkeyPatch, without: str) -> None:
    """What the process before was told to do without, the next one has not either."""
    if "MOVE" in without:
        offered = ImapSession.capabilities.fget
        monkeypatch.setattr(ImapSession, "capabilities", property(lambda self: offered(self) - {"MOVE"}))
    if "COPYUID" in without:
        placed = ChangeableFolder._placed
        monkeypatch.setattr(ChangeableFolder, "_placed", lambda self, *arguments: (placed(self, *arguments), None)[1])
