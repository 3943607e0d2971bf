"""The supervisor's memory of a part: when it is started again, and what its log says."""

import sys
import time

import pytest

from emailsettings.parts import GOOD_RUN, RESTART_AFTER, Part


@pytest.fixture
def part(tmp_path):
    part = Part("short", [sys.executable, "-c", "print('gone'); raise SystemExit(3)"], tmp_path / "short.log")
    part.start()
    part.process.wait()
    yield part
    part.stop()


def test_an_ended_part_is_found_once_and_started_after_its_pause(part):
    found_at = part.started_at + 1
    first = part.process
    assert part.look_after(found_at)
    assert not part.look_after(found_at + RESTART_AFTER[0] / 2)
    assert part.process is first
    part.look_after(found_at + RESTART_AFTER[0])
    assert part.process is not first


def test_the_pause_grows_with_each_failure(part):
    pauses = []
    for _ in RESTART_AFTER:
        now = part.started_at + 1
        part.look_after(now)
        pauses.append(part.start_again_at - now)
        part.look_after(part.start_again_at)
        part.process.wait()
    assert pauses == pytest.approx(RESTART_AFTER)


def test_a_long_good_run_forgets_earlier_failures(part):
    part.failures = 3
    now = part.started_at + GOOD_RUN + 1
    part.look_after(now)
    assert part.start_again_at - now == pytest.approx(RESTART_AFTER[0])


def test_the_last_words_are_the_last_line_of_the_log(part):
    assert part.last_words().startswith("gone")


def test_a_part_that_ignores_sigterm_is_killed_after_its_grace(tmp_path):
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    )
    part = Part("stubborn", [sys.executable, "-c", stubborn], tmp_path / "log", grace=0.2)
    part.is_ready = lambda: part.log.exists() and "ready" in part.log.read_text()
    part.start()
    part.wait_until_ready(20)
    began = time.monotonic()
    part.stop()
    assert not part.is_running
    assert time.monotonic() - began < 10
