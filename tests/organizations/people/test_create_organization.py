"""`manage.py create_organization`: one more organization beside those that are there."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from organizations.models import Invitation, Organization, User
from organizations.operations import Operation


@pytest.mark.proves("A1")
def test_the_printed_link_makes_the_first_administrator_of_a_second_organization(administrator, alice, capsys):
    call_command("create_organization", "Second Ltd", admin="zora@second.example", url="https://mail.example.org/")
    link = capsys.readouterr().out.split()[-1]
    assert link.startswith("https://mail.example.org/people/invitations/")
    visitor = Client()
    path = link.removeprefix("https://mail.example.org")
    values = {"name": "Zora", "password": "a long enough word", "time_zone": "UTC"}
    assert visitor.post(path, values)["Location"] == "/"
    zora = User.objects.get(email="zora@second.example")
    assert (zora.organization.name, zora.operations) == ("Second Ltd", frozenset(Operation))
    page = visitor.get("/people/").content.decode()
    assert "Zora" in page
    assert "Alice" not in page


@pytest.mark.parametrize(
    ("name", "admin"),
    [
        ("", "z@second.example"),
        ("x" * 201, "z@second.example"),
        ("A\nB", "z@second.example"),
        ("Second", "nobody"),
        ("Second", "ALICE@example.org"),
    ],
)
def test_wrong_input_makes_nothing(alice, name, admin):
    with pytest.raises(CommandError):
        call_command("create_organization", name, admin=admin)
    assert Organization.objects.count() == 1
    assert not Invitation.objects.exists()


def test_with_mail_the_link_leaves_by_account_mail(db, account_server, capsys):
    call_command("create_organization", "Second Ltd", "--admin", "zora@second.example", "--mail")
    assert account_server.taken[0].recipients == ["zora@second.example"]
    assert "/people/invitations/" in capsys.readouterr().out
