"""Rotating the key of stored secrets: while running, stopped anywhere, and with keys that are missing (spec J1)."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Mailbox
from organizations import resealing
from organizations.sealing import key_id, keyring, new_key
from protocols.credentials import Secret
from tests.servers.warm import database_url

#: Rotates again and again in children that are killed at the steps in turn; after each one everything must open.
DRIVER = """
import os, django; django.setup()
from accounts.models import Mailbox
from organizations import faultpoints, resealing

def child(work):
    pid = os.fork()
    if not pid:
        work()
        os._exit(0)
    return os.waitpid(pid, 0)[1]

def read_everything():
    for mailbox in Mailbox.objects.all():
        if mailbox.password.reveal() != mailbox.address:
            os._exit(1)

for kill in range(20):
    def rotate():
        faultpoints._CHOSEN = ("secret sealed anew", "row changed")[kill % 2]
        faultpoints._OCCURRENCE = str(1 + kill % 3)
        resealing.reseal_all()
    print(child(rotate), child(read_everything), flush=True)
print(child(resealing.reseal_all), child(read_everything))
"""


@pytest.fixture
def ten(make_mailbox) -> list[Mailbox]:
    return [make_mailbox(address, password=Secret(address)) for address in addresses(10)]


@pytest.fixture
def forty(transactional_db, make_mailbox) -> list[Mailbox]:
    return [make_mailbox(address, password=Secret(address)) for address in addresses(40)]


@pytest.fixture
def second_key(settings) -> str:
    """The tests' key still opens; a fresh one seals."""
    settings.ENCRYPTION_KEYS = f"{new_key('second')},{settings.ENCRYPTION_KEYS}"
    return str(settings.ENCRYPTION_KEYS)


def addresses(count: int) -> list[str]:
    return [f"{number}@example.org" for number in range(count)]


def rotate(*options: str) -> str:
    out = StringIO()
    call_command("rotate_keys", *options, stdout=out)
    return out.getvalue()


def keys() -> set[str]:
    return {key_id(bytes(token)) for token in Mailbox.objects.values_list("password", flat=True)}


@pytest.mark.proves("J1")
def test_rotating_moves_every_secret_to_the_first_key(ten, second_key):
    assert "10 moved to the key “second”, 0 had it already" in rotate()
    assert keys() == {"second"}
    assert [mailbox.password.reveal() for mailbox in Mailbox.objects.order_by("pk")] == [each.address for each in ten]
    assert "0 moved to the key “second”, 10 had it already" in rotate()


def test_the_command_says_which_keys_nothing_needs_any_more(ten, second_key):
    assert "No secret needs tests any more" in rotate()


@pytest.mark.proves("J1")
def test_a_password_typed_while_rotating_wins(ten, second_key, monkeypatch):
    def seal_after_somebody_typed(text: str, context: str) -> bytes:
        monkeypatch.undo()
        typing = Mailbox.objects.get(pk=ten[0].pk)
        typing.password = Secret("typed meanwhile")
        typing.save()
        return resealing.seal(text, context)

    monkeypatch.setattr(resealing, "seal", seal_after_somebody_typed)
    assert resealing.reseal_all().moved == 9
    assert Mailbox.objects.get(pk=ten[0].pk).password.reveal() == "typed meanwhile"


@pytest.mark.proves("J1", "R2")
@pytest.mark.django_db(transaction=True)
def test_killed_at_twenty_points_nothing_becomes_unreadable(forty, second_key):
    environment = {**os.environ, "DATABASE_URL": database_url(), "EMAILSETTINGS_ENCRYPTION_KEYS": second_key}
    command = [sys.executable, "-c", DRIVER]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    outcomes = [line.split() for line in ended.stdout.splitlines()]
    assert outcomes == [["9", "0"]] * 20 + [["0", "0"]], ended.stdout + ended.stderr  # 9: SIGKILL
    assert keys() == {"second"}


@pytest.mark.proves("J1")
def test_what_no_key_opens_is_named_left_alone_and_does_not_stop_the_others(ten, second_key):
    Mailbox.objects.filter(pk=ten[0].pk).update(password=b"damaged")
    with pytest.raises(CommandError, match=f"1 cannot be opened .* mailbox {ten[0].pk}"):
        rotate()
    assert bytes(Mailbox.objects.values_list("password", flat=True).get(pk=ten[0].pk)) == b"damaged"
    assert Mailbox.objects.get(pk=ten[9].pk).password.reveal() == ten[9].address


@pytest.mark.proves("J1")
def test_a_file_of_keys_is_rotated_in_place_and_counts_at_once(ten, settings, tmp_path):
    file = tmp_path / "encryption-keys"
    file.write_text(settings.ENCRYPTION_KEYS)
    settings.ENCRYPTION_KEYS_FILE = str(file)
    before = keyring().current
    assert "10 moved" in rotate("--new-key")
    assert keyring().current != before
    assert keys() == {keyring().current}
    assert before in keyring().keys
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_ring_from_the_environment_is_not_written(ten):
    with pytest.raises(CommandError, match="make_key"):
        rotate("--new-key")


def test_a_made_key_is_taken_by_the_ring(settings):
    out = StringIO()
    call_command("make_key", "spring-2027", stdout=out)
    settings.ENCRYPTION_KEYS = out.getvalue()
    assert keyring().current == "spring-2027"


def test_a_key_name_that_would_break_the_ring_is_refused():
    with pytest.raises(CommandError, match="no name for a key"):
        call_command("make_key", "a:b,c")
