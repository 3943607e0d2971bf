"""Large mailboxes and messages in a process of their own: memory, the newest page, and a sync without news (R24, R25).

The normal run takes a sample; `--all` takes them at their real size, as `benchmarks/scale` does.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.large_things import A_BAD_LINE, Received, large_message, many_folders, many_messages
from tests.servers.dovecot import Dovecot

pytestmark = pytest.mark.once

MOST_MEGABYTES = 300
MOST_FOR_A_MESSAGE = 200
MOST_COMMANDS = 5


def assert_within(received: Received, megabytes: int) -> None:
    assert received.first["megabytes"] < megabytes
    assert len(received.commands) <= MOST_COMMANDS
    assert received.again["processor"] < 1


@pytest.mark.proves("R24")
@pytest.mark.parametrize("number", [1_200, pytest.param(200_000, marks=pytest.mark.slow)])
def test_a_large_folder_takes_bounded_memory(dovecot: Dovecot, tmp_path: Path, number: int) -> None:
    received = many_messages(dovecot, tmp_path, number, 1)
    assert_within(received, MOST_MEGABYTES)
    assert received.first["first_page"] < received.first["seconds"]


@pytest.mark.proves("R24")
@pytest.mark.parametrize("number", [30, pytest.param(5_000, marks=pytest.mark.slow)])
def test_many_folders_are_looked_at_by_one_command_once_they_are_known(
    dovecot: Dovecot, tmp_path: Path, number: int
) -> None:
    assert_within(many_folders(dovecot, tmp_path, number), MOST_MEGABYTES)


@pytest.mark.proves("R6", "R25")
@pytest.mark.parametrize("megabytes", [26, pytest.param(100, marks=pytest.mark.slow)])
def test_a_large_message_comes_through_a_line_that_drops_every_ten_megabytes(
    dovecot: Dovecot, tmp_path: Path, megabytes: int
) -> None:
    received = large_message(dovecot, tmp_path, megabytes, A_BAD_LINE)
    assert_within(received, MOST_FOR_A_MESSAGE)
    assert received.first["megabytes"] - received.first["at_rest"] < 30
    assert received.first["syncs"] > megabytes / 10
