"""Settings by environment: what a dangerous production is told, and secrets from files."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest

from emailsettings.checks import refuse_dangerous_production
from tests.environment import ROOT

KEYS = "first:" + base64.b64encode(bytes(32)).decode()
PRODUCTION = {
    "DATABASE_URL": "postgres://somebody@database/emailsettings",
    "SECRET_KEY": "k3y-" * 15,
    "EMAILSETTINGS_ENCRYPTION_KEYS": KEYS,
    "ALLOWED_HOSTS": "mail.example.com",
    "EMAILSETTINGS_HTTPS": "true",
}


def found() -> list[str]:
    return [message.id for message in refuse_dangerous_production(None) if message.id]


@pytest.mark.parametrize(
    ("name", "value", "number"),
    [
        ("DEBUG", True, "E001"),
        ("SANDBOX", True, "E002"),
        ("ALLOWED_HOSTS", ["*"], "E003"),
        ("ALLOWED_HOSTS", ["localhost", "127.0.0.1"], "E003"),
        ("HTTPS", False, "E004"),
        ("PROXIES", -1, "E005"),
        ("PROXIES", 0, "W001"),
    ],
)
def test_a_dangerous_setting_is_refused_with_its_cure(settings, name, value, number):
    settings.PROXIES = 1
    settings.DEBUG, settings.SANDBOX, settings.HTTPS, settings.ALLOWED_HOSTS = False, False, True, ["mail.example.com"]
    assert found() == []
    setattr(settings, name, value)
    [message] = refuse_dangerous_production(None)
    assert message.id == f"emailsettings.{number}"
    assert message.hint


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    base = {"PATH": os.environ["PATH"], "EMAILSETTINGS_STATE_DIR": os.environ["EMAILSETTINGS_STATE_DIR"]}
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT, env={**base, **environment}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("missing", ["SECRET_KEY", "EMAILSETTINGS_ENCRYPTION_KEYS"])
def test_with_postgresql_secrets_have_to_be_given(missing):
    ended = run("manage.py", "check", **{name: value for name, value in PRODUCTION.items() if name != missing})
    assert ended.returncode != 0
    assert f"{missing} is not set" in ended.stderr


def test_secrets_may_stand_in_files(tmp_path: Path):
    (tmp_path / "key").write_text(PRODUCTION["SECRET_KEY"] + "\n")
    (tmp_path / "keys").write_text(KEYS + "\n")
    files = {"SECRET_KEY_FILE": str(tmp_path / "key"), "EMAILSETTINGS_ENCRYPTION_KEYS_FILE": str(tmp_path / "keys")}
    plain = {name: value for name, value in PRODUCTION.items() if f"{name}_FILE" not in files}
    show = (
        "import os, django; os.environ['DJANGO_SETTINGS_MODULE'] = 'emailsettings.settings'; django.setup();"
        "from django.conf import settings; from organizations.sealing import keyring;"
        "print(settings.SECRET_KEY.strip(), keyring().current, settings.ENCRYPTION_KEYS_FILE)"
    )
    ended = run("-c", show, **plain, **files)
    assert ended.stdout.split() == [PRODUCTION["SECRET_KEY"], "first", str(tmp_path / "keys")], ended.stderr


@pytest.mark.parametrize(("part", "cache"), [("sys.modules['emailsettings.asgi'] = sys", 8_000), ("pass", 32_000)])
def test_the_pages_keep_less_of_the_sqlite_file_for_each_of_their_many_connections(part, cache):
    read = f"import sys; {part}; from emailsettings import settings; print(settings.DATABASES)"
    given = {"DATABASE_URL": "sqlite:////nowhere/at-all", "SECRET_KEY": "k3y", "EMAILSETTINGS_ENCRYPTION_KEYS": KEYS}
    done = run("-c", read, **given)
    assert f"PRAGMA cache_size=-{cache};" in done.stdout, done.stderr
