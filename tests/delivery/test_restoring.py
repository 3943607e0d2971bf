"""A backup from yesterday is put back, as the guide says: nothing is sent twice, and mail converges (fault R38)."""

from __future__ import annotations

import imaplib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.utils import timezone

from delivery import restoring
from delivery.models import OutboxMessage, Restore
from delivery.states import State
from delivery.tasks import submit_message, sweep_outbox
from notifications.models import Notification
from organizations.models import AuditEntry
from tests.delivery.conftest import states
from tests.delivery.moving import put
from tests.mailstore.receiving.server import Account

SENT, UNSURE = {"bob@example.org": State.SENT}, {"bob@example.org": State.UNCERTAIN}
QUEUED = {"bob@example.org": State.QUEUED}


def back_up(target: Path) -> None:
    """The database as the guide says."""
    settings = connection.settings_dict
    connections.close_all()
    if connection.vendor == "sqlite":
        with closing(sqlite3.connect(settings["NAME"])) as database, closing(sqlite3.connect(target)) as copy:
            database.backup(copy)
        return
    _run("pg_dump", "--format=custom", f"--file={target}", settings["NAME"])


def put_back(source: Path) -> None:
    settings = connection.settings_dict
    connections.close_all()
    if connection.vendor == "sqlite":
        with closing(sqlite3.connect(source)) as copy, closing(sqlite3.connect(settings["NAME"])) as database:
            copy.backup(database)
        return
    _run("pg_restore", "--clean", "--if-exists", f"--dbname={settings['NAME']}", str(source))


def _run(*command: str) -> None:
    settings = connection.settings_dict
    where = {"PGHOST": settings["HOST"], "PGPORT": str(settings["PORT"]), "PGUSER": settings["USER"]}
    environment = os.environ | {name: value for name, value in where.items() if value}
    subprocess.run(command, check=True, env=environment, timeout=120)


@pytest.fixture
def message(make_message, sending_mailbox, alice):
    return make_message(sending_mailbox, alice, "bob@example.org")


@pytest.fixture
def account(filing_mailbox, dovecot, login) -> Iterator[Account]:
    client = imaplib.IMAP4("127.0.0.1", dovecot.plain_port)
    client.login(login.username, login.password.reveal())
    yield Account(filing_mailbox, client)
    client.logout()


@pytest.mark.django_db(transaction=True)
@pytest.mark.proves("R38", "V1", "V4")
def test_after_the_documented_restore_nothing_is_sent_twice_and_mail_converges(
    make_message, alice, sink, tmp_path, account, settings
):
    waiting = make_message(account.mailbox, alice, "bob@example.org")
    account.deliver_letters(1, 2, 3)
    account.sync()
    yesterday = timezone.now() - timedelta(days=1)
    restoring.pulse(yesterday)
    os.utime(restoring._path(), times=(yesterday.timestamp(), yesterday.timestamp()))
    backup, mail = tmp_path / "backup", Path(settings.MAIL_DIR)
    back_up(backup)
    shutil.copytree(mail, tmp_path / "mail-backup")

    submit_message(waiting.pk)  # the day that will be forgotten
    account.expunge("2")
    account.deliver_letters(4, 5)
    account.sync()
    sweep_outbox()
    lost = make_message(account.mailbox, alice, "carol@example.org")
    submit_message(lost.pk)
    assert len(sink.taken) == 2

    put_back(backup)
    mail.rename(tmp_path / "given up")
    shutil.copytree(tmp_path / "mail-backup", mail)
    assert states(waiting) == QUEUED
    sweep_outbox()
    submit_message(waiting.pk)
    sweep_outbox()
    assert states(waiting) == UNSURE
    assert [taken.recipients for taken in sink.taken] == [["bob@example.org"], ["carol@example.org"]]
    account.sync()
    account.sync()
    assert account.uids() == [1, 3, 4, 5]
    assert account.subjects() == ["Letter 1", "Letter 3", "Letter 4", "Letter 5"]
    fresh = make_message(account.mailbox, alice, "dave@example.org")
    submit_message(fresh.pk)
    assert states(fresh) == {"dave@example.org": State.SENT}


@pytest.fixture
def going(message, sink) -> Callable[[], None]:
    """The outbox has been at work; `going()` lets it go on, as beat does."""
    message.recipients.update(not_before=timezone.now() + timedelta(hours=1))

    def sweep() -> None:
        sweep_outbox()
        submit_message(message.pk)

    sweep()
    sweep()
    message.recipients.update(not_before=timezone.now())
    return sweep


@pytest.mark.django_db
@pytest.mark.proves("R38")
def test_a_database_that_has_forgotten_something_is_noticed(message, going, alice):
    path = restoring._path()
    before = path.read_text()
    path.write_text(before.replace('"number": 2', '"number": 2000'))
    going()
    assert states(message) == UNSURE
    [restore] = Restore.objects.all()
    assert (restore.set_aside, restore.as_of is not None) == (1, True)
    assert "restored from a backup of" in message.recipients.get().note
    assert Notification.objects.filter(user=alice, kind="message_uncertain").count() == 1
    [entry] = AuditEntry.objects.filter(action="outbox.set_aside")
    assert entry.detail["messages"] == 1
    going()
    assert Restore.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.proves("R38")
@pytest.mark.parametrize("keeps_times", [True, False])
def test_a_mail_folder_that_was_copied_is_noticed_though_it_counts_the_same(message, going, keeps_times):
    """With the old times kept, as rsync does, and without."""
    path, long_ago = restoring._path(), timezone.now() - timedelta(days=1)
    restoring.pulse(long_ago)
    path.rename(path.with_name("original"))
    shutil.copyfile(path.with_name("original"), path)
    if keeps_times:
        os.utime(path, times=(long_ago.timestamp(), long_ago.timestamp()))
    going()
    assert states(message) == UNSURE


@pytest.mark.django_db
@pytest.mark.proves("R38")
def test_a_mail_folder_without_its_count_is_noticed(message, going):
    restoring._path().unlink()
    going()
    assert states(message) == UNSURE


@pytest.mark.django_db
@pytest.mark.parametrize("trouble", ["mode changed", "count is behind", "unreadable", "never written"])
def test_what_is_no_restore_sets_nothing_aside(message, going, trouble):
    path = restoring._path()
    if trouble == "mode changed":
        os.chmod(path, 0o600)
    elif trouble == "count is behind":  # the disk was full when the last one was to be written
        path.write_text(path.read_text().replace('"number": 2', '"number": 1'))
    elif trouble == "unreadable":
        path.write_text("{")
    else:  # the folder takes no files
        path.unlink()
        path.mkdir()
        restoring.pulse(timezone.now())
        path.rmdir()
    assert restoring.notice(timezone.now()) is None
    assert states(message) == QUEUED


@pytest.mark.django_db
def test_a_new_installation_has_nothing_to_notice(message):
    assert restoring.notice(timezone.now()) is None
    assert not Restore.objects.exists()


@pytest.mark.django_db
@pytest.mark.proves("R38")
def test_the_administrator_says_so_where_the_whole_machine_was_put_back(message, going, make_message, alice):
    held = make_message(message.mailbox, alice, "bob@example.org")
    put(held.recipients.all(), State.SENDING, claimed_at=timezone.now(), claim=99)
    out = StringIO()
    call_command("mark_restored", stdout=out)
    assert "2 messages waited to be sent then" in out.getvalue()
    assert states(message) == states(held) == UNSURE
    going()
    assert states(message) == UNSURE
    assert OutboxMessage.objects.count() == 2
