"""The product comes up by one command, answers, and goes away without a trace."""

from __future__ import annotations

import os
import signal
import subprocess
import urllib.request

import pytest

from tests.environment import ROOT
from tests.servers.processes import free_port, private_folder, wait_until
from tests.servers.product import NOT_HANDED_ON, running_on, running_product


@pytest.fixture
def state():
    with private_folder("es-run-") as folder:
        yield folder


def test_the_product_comes_up_and_ctrl_c_leaves_nothing(page, state):
    with running_product(state) as product:
        page.goto(product.url)
        page.get_by_label("Email").fill(product.email)
        page.get_by_label("Password").fill(product.password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{product.url}/communications/settings/email")
    assert not running_on(state)
    assert not (state / "valkey.sock").exists()


def test_a_part_that_is_killed_comes_back(live_product):
    web = next(pid for pid, command in sorted(live_product.processes().items()) if "granian --interface" in command)
    os.kill(web, signal.SIGKILL)
    wait_until(lambda: web not in live_product.processes(), "end of the killed part")
    wait_until(lambda: answers(live_product.url), "answer after the restart", seconds=60)


def test_after_a_crash_the_next_start_finds_nothing_in_its_way(state):
    with running_product(state) as product:
        product.kill()
    with running_product(state) as product:
        assert answers(product.url)


def test_what_the_parts_write_is_for_their_user_only(live_product):
    paths = list(live_product.state.rglob("*"))
    written = {path.name for path in paths if path.exists() and path.lstat().st_mode & 0o077 == 0}
    open_to_others = {path.name for path in paths if path.exists()} - written
    assert {"emailsettings.sqlite3", "logs", "web.log", "valkey.sock"} <= written
    assert open_to_others <= {"output"}  # what the test itself writes there


def test_a_second_start_in_the_same_folder_says_that_one_is_running(live_product):
    environment = {name: value for name, value in os.environ.items() if name not in NOT_HANDED_ON}
    second = subprocess.run(
        [ROOT / "run"],
        env={**environment, "PORT": str(free_port()), "EMAILSETTINGS_STATE_DIR": str(live_product.state)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert second.returncode != 0
    assert f"running in this folder already: {live_product.url}" in second.stderr
    assert answers(live_product.url)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/account/login/", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
