"""A mailbox password is stored sealed, and its seal holds in its own row and column only."""

from __future__ import annotations

import pytest
from django.core import serializers
from django.db import connection

from accounts.models import Mailbox
from mailservers.models import MailServer
from organizations.sealing import Unopenable, new_key
from protocols.credentials import Secret

TYPED = "hunter2-typed-secret"


@pytest.fixture
def two(make_mailbox) -> tuple[Mailbox, Mailbox]:
    return make_mailbox("a@example.org", password=Secret(TYPED)), make_mailbox(
        "b@example.org", password=Secret("other")
    )


def sealed(mailbox: Mailbox) -> bytes:
    return bytes(Mailbox.objects.filter(pk=mailbox.pk).values_list("password", flat=True).get())


@pytest.mark.proves("J1")
def test_the_database_never_holds_the_password(two):
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM accounts_mailbox")
        rows = cursor.fetchall()
    stored = b"".join(
        bytes(value) if isinstance(value, memoryview | bytes) else str(value).encode() for row in rows for value in row
    )
    assert TYPED.encode() not in stored
    assert Mailbox.objects.get(pk=two[0].pk).password.reveal() == TYPED


@pytest.mark.proves("J1", "T8")
def test_a_secret_copied_into_another_row_does_not_open(two):
    first, second = two
    Mailbox.objects.filter(pk=second.pk).update(password=sealed(first))
    with pytest.raises(Unopenable):
        _ = Mailbox.objects.get(pk=second.pk).password


@pytest.mark.proves("J1", "T8")
def test_a_secret_copied_into_another_table_does_not_open(two, mail_server):
    mailbox = two[0]
    MailServer.objects.filter(pk=mail_server.pk).update(password=sealed(mailbox), seal_id=mailbox.seal_id)
    with pytest.raises(Unopenable):
        _ = MailServer.objects.get(pk=mail_server.pk).password


@pytest.mark.proves("T8")
def test_a_missing_key_is_named(two, settings):
    settings.ENCRYPTION_KEYS = new_key("fresh")
    with pytest.raises(Unopenable, match="EMAILSETTINGS_ENCRYPTION_KEYS"):
        _ = Mailbox.objects.get(pk=two[0].pk).password


@pytest.mark.proves("T8")
def test_a_row_whose_key_is_lost_can_be_read_anew(two, settings):
    mailbox, token = two[0], sealed(two[0])
    settings.ENCRYPTION_KEYS = new_key("fresh")
    Mailbox.objects.filter(pk=mailbox.pk).update(display_name="Changed")
    mailbox.refresh_from_db()
    assert mailbox.display_name == "Changed"
    mailbox.refresh_from_db(fields=["password", "sends"])
    mailbox.save()
    assert sealed(mailbox) == token
    without = Mailbox.objects.defer("password").get(pk=mailbox.pk)
    without.refresh_from_db()
    assert "password" in without.get_deferred_fields()
    with pytest.raises(Unopenable, match="EMAILSETTINGS_ENCRYPTION_KEYS"):
        _ = without.password


def test_reading_a_row_anew_sees_the_password_that_others_set(two):
    mailbox = two[0]
    other = Mailbox.objects.get(pk=mailbox.pk)
    other.password = Secret("changed elsewhere")
    other.save()
    mailbox.refresh_from_db()
    assert mailbox.password.reveal() == "changed elsewhere"


@pytest.mark.proves("T8")
def test_an_older_key_still_opens_and_the_first_one_seals(two, settings):
    settings.ENCRYPTION_KEYS = f"{new_key('fresh')},{settings.ENCRYPTION_KEYS}"
    mailbox = Mailbox.objects.get(pk=two[0].pk)
    assert mailbox.password.reveal() == TYPED
    mailbox.password = mailbox.password
    mailbox.save()
    assert b"fresh" in sealed(mailbox)


def test_neither_printing_nor_serialising_tells_the_password(two):
    mailbox = Mailbox.objects.get(pk=two[0].pk)
    assert TYPED not in f"{mailbox.password} {mailbox.password!r} {mailbox!r}"
    assert TYPED not in serializers.serialize("json", [mailbox])


def test_whether_there_is_a_password_is_told_without_opening_it(two, make_mailbox):
    Mailbox.objects.filter(pk=two[0].pk).update(password=b"damaged")
    assert Mailbox.objects.get(pk=two[0].pk).has_password
    assert not Mailbox.objects.get(pk=make_mailbox("c@example.org", password=Secret("")).pk).has_password
