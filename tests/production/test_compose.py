"""The commands of docker-compose.yml on a real PostgreSQL and a real Valkey, and how each part ends."""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.servers.compose import FILE, PARTS, Composed
from tests.servers.processes import wait_until


def ask(production: Composed, path: str, **headers: str) -> tuple[int, str]:
    """Status and body; redirects are not followed."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            return None

    request = urllib.request.Request(production.url + path, headers=headers)
    try:
        with urllib.request.build_opener(Stay).open(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers.get("Location", "")


def is_healthy(production: Composed, service: str) -> bool:
    return production.run(production.health_check(service), service).returncode == 0


@pytest.mark.proves("L5")
def test_every_service_passes_its_own_health_check(production):
    wait_until(lambda: production.ready()["parts"]["watcher"] == "ok", "watcher", seconds=90)
    parts = {"database": "ok", "cache": "ok", "broker": "ok", "watcher": "ok"}
    assert production.ready() == {"ready": True, "parts": parts}
    for service in ("web", "worker-sync", "worker-prompt", "worker-send", "watch"):
        # A worker may come up later than the pages: for that Docker has a start period.
        wait_until(lambda name=service: is_healthy(production, name), f"health of {service}", seconds=90)


def test_pages_want_https_and_probes_do_not(production):
    assert ask(production, "/account/login/")[0] == 301
    status, page = ask(production, "/account/login/", **{"X-Forwarded-Proto": "https"})
    assert (status, "Sign in" in page) == (200, True)
    assert ask(production, "/healthz", Host="10.0.0.7")[0] == 200


def test_a_foreign_host_name_is_refused(production):
    assert ask(production, "/account/login/", Host="evil.example", **{"X-Forwarded-Proto": "https"})[0] == 400


def test_the_deployment_check_has_nothing_to_say(production):
    checked = production.run(["python", "manage.py", "check", "--deploy", "--fail-level", "INFO"])
    assert checked.returncode == 0, checked.stderr
    assert "no issues" in checked.stdout


def test_preparing_again_changes_nothing(production):
    again = production.run(production.command("prepare"))
    assert (again.returncode, again.stdout.splitlines()[-1]) == (0, "The database is ready.")
    assert "setup" not in again.stdout


@pytest.mark.proves("L5")
def test_without_the_broker_it_is_alive_but_not_ready(production):
    production.stop("broker")
    try:
        assert ask(production, "/healthz")[0] == 200
        answer = production.ready()
        broken = {"database": "ok", "cache": "does not answer", "broker": "does not answer"}
        assert not answer["ready"]
        assert {**answer["parts"], **broken} == answer["parts"]
    finally:
        production.start("broker")
    assert production.ready()["ready"]


def test_a_part_told_to_end_ends_in_time_and_cleanly(production):
    for part in PARTS:
        assert production.stop(part) in (0, -15), production.log(part)
        production.start(part)
    wait_until(lambda: production.ready().get("ready"), "ready answer", seconds=90)


@pytest.mark.parametrize(
    "variable", ["SECRET_KEY", "EMAILSETTINGS_ENCRYPTION_KEYS", "POSTGRES_PASSWORD", "ALLOWED_HOSTS"]
)
def test_a_secret_that_is_not_given_keeps_it_from_starting(variable):
    assert f"${{{variable}:?}}" in str(FILE["web"]["environment"])


def test_the_image_runs_as_nobody_special():
    lines = Path("Dockerfile").read_text().splitlines()
    assert "USER emailsettings" in lines[: next(number for number, line in enumerate(lines) if line.startswith("CMD"))]
