"""Inviting people by a link: for one use, for seven days, backed by whoever made it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from organizations import invitations, people
from organizations.invitations import Newcomer, Reason, UnusableInvitation
from organizations.models import AuditEntry, Invitation, OperationGrant, Role, User
from organizations.operations import Operation
from organizations.roles import administrators_of
from tests.api.conftest import api_of
from tests.simultaneously import simultaneously

__all__ = ["api_of"]

NEWCOMER = {"name": "Nora Neumann", "password": "a long enough word", "time_zone": "Europe/Vienna"}


@pytest.fixture
def invited(administrator: User, sales: Role) -> tuple[Invitation, str]:
    return invitations.invite(
        administrator.organization,
        name="Nora",
        email="nora@example.org",
        roles=[sales],
        by=administrator,
        now=timezone.now(),
    )


def link_in(answer) -> str:
    return re.search(r'value="http://testserver(/people/invitations/[^"]+)"', answer.content.decode())[1]


def mailed_link(server) -> str:
    """The link in the newest mail."""
    text = server.taken[-1].raw.replace(b"=\r\n", b"").replace(b"=3D", b"=").decode()
    return re.search(r"http://testserver(/people/[a-z]+/\S+)", text)[1]


def why_not(token: str, now=None) -> Reason:
    with pytest.raises(UnusableInvitation) as refusal:
        invitations.find(token, now or timezone.now())
    return refusal.value.reason


@pytest.mark.proves("A2", "A5")
def test_from_the_invitation_by_mail_to_the_signed_in_newcomer(as_administrator, sales, account_server):
    answer = as_administrator.post("/people/invite", {"name": "Nora", "email": "nora@example.org", "roles": [sales.pk]})
    assert "is on its way to" in answer.content.decode()
    link = mailed_link(account_server)
    assert link != link_in(answer)

    newcomer = Client()
    assert "Welcome, Nora" in newcomer.get(link).content.decode()
    assert newcomer.post(link, NEWCOMER)["Location"] == "/"
    user = User.objects.get(email="nora@example.org")
    assert (user.name, user.time_zone, [role.name for role in user.roles.all()]) == (
        "Nora Neumann",
        "Europe/Vienna",
        ["Sales"],
    )
    assert newcomer.session["_auth_user_id"] == str(user.pk)
    assert AuditEntry.objects.get(action="user.joined").actor == user
    assert AuditEntry.objects.get(action="invitation.created").detail == {"roles": ["Sales"]}


def test_only_the_hash_of_the_link_is_stored(invited):
    invitation, token = invited
    assert token not in invitation.token_hash
    assert len(invitation.token_hash) == 64
    assert token not in str(list(AuditEntry.objects.values()))


def test_a_link_works_once_and_says_so(client, invited):
    _, token = invited
    invitations.accept(token, Newcomer(name="Nora", password="a long enough word"), now=timezone.now())
    assert why_not(token) is Reason.USED
    answer = client.get(f"/people/invitations/{token}")
    assert (answer.status_code, "works only once" in answer.content.decode()) == (404, True)


def test_a_link_ends_after_seven_days(client, invited):
    invitation, token = invited
    assert invitations.find(token, invitation.created_at + timedelta(days=6, hours=23))
    assert why_not(token, invitation.created_at + timedelta(days=7)) is Reason.EXPIRED


def test_a_forged_or_shortened_link_is_unknown(client, invited):
    _, token = invited
    for wrong in (token[:-1], token[:5], "x", token.replace(".", "-"), "\x00", "é" * 300):
        assert why_not(wrong) is Reason.UNKNOWN
    assert client.get(f"/people/invitations/{token}x").status_code == 404


def test_sending_again_ends_the_older_link(as_administrator, invited, account_server):
    invitation, older = invited
    answer = as_administrator.post(f"/people/invitations/{invitation.pk}/renew")
    newer = link_in(answer).rpartition("/")[2]
    assert why_not(older) is Reason.UNKNOWN
    assert invitations.find(newer, timezone.now()) == invitation
    assert len(account_server.taken) == 1


def test_a_link_can_be_made_without_mail_to_pass_it_on(as_administrator, invited, account_server):
    invitation, _ = invited
    answer = as_administrator.post(f"/people/invitations/{invitation.pk}/renew", {"show": "1"})
    assert link_in(answer)
    assert not account_server.taken


def test_a_withdrawn_link_opens_nothing_and_the_address_can_be_invited_again(as_administrator, invited):
    invitation, token = invited
    as_administrator.post(f"/people/invitations/{invitation.pk}/withdraw")
    assert why_not(token) is Reason.WITHDRAWN
    again = as_administrator.post("/people/invite", {"name": "Nora", "email": "nora@example.org"})
    assert again.status_code == 200
    assert AuditEntry.objects.filter(action="invitation.withdrawn").count() == 1


@pytest.mark.parametrize("address", ["nora@example.org", "NORA@Example.org"])
def test_inviting_twice_makes_one_invitation_also_in_another_case(as_administrator, invited, address):
    answer = as_administrator.post("/people/invite", {"name": "Nora", "email": address})
    assert answer.status_code == 422
    assert "invited already" in answer.content.decode()
    assert Invitation.objects.count() == 1


def test_a_colleague_is_not_invited_again(as_administrator, alice):
    answer = as_administrator.post("/people/invite", {"name": "Alice", "email": "ALICE@example.org"})
    assert "has this address already" in answer.content.decode()


@pytest.mark.proves("A1")
def test_an_address_of_another_organization_is_told_to_its_owner_alone(client, as_administrator, dana, account_server):
    answer = as_administrator.post("/people/invite", {"name": "Dana", "email": dana.email})
    assert answer.status_code == 200
    accepted = client.post(mailed_link(account_server), NEWCOMER)
    assert (accepted.status_code, "signs in elsewhere already" in accepted.content.decode()) == (404, True)
    dana.refresh_from_db()
    assert dana.organization.name == "Elsewhere Inc"
    assert Invitation.objects.get().accepted_at is None


@pytest.mark.proves("A1")
def test_who_invites_sees_the_same_whether_the_address_signs_in_elsewhere_or_not(
    as_administrator, api_of, administrator, dana, account_server
):
    """Pages, the API, what the passed-on link does, and how often the database is asked."""
    told = []
    for address in (dana.email, "d4n4@elsewhere.example"):
        with CaptureQueriesContext(connection) as queries:
            page = as_administrator.post("/people/invite", {"name": "Dana", "email": address})
        stranger, link = Client(), link_in(page)
        opened = [stranger.get(link), stranger.post(link), stranger.post(link, NEWCOMER), stranger.get(link)]
        people = as_administrator.get("/people/")
        as_administrator.post(f"/people/invitations/{Invitation.objects.latest('pk').pk}/withdraw")
        with CaptureQueriesContext(connection) as asked:
            called = api_of(administrator).post("/people", {"name": "Dana", "email": address, "sends_mail": True})
        pages = [neutral(answer, address) for answer in (page, *opened, people)]
        told.append((pages, len(queries), len(asked), called.status_code, sorted(called.data)))
        assert "Mail me the link" in opened[0].content.decode()
        assert "Look into your mailbox" in opened[2].content.decode()
        as_administrator.post(f"/people/invitations/{Invitation.objects.latest('pk').pk}/withdraw")
        as_administrator.get("/people/")  # takes the messages about that away
    assert told[0] == told[1]
    assert not User.objects.filter(organization=administrator.organization, email__contains="elsewhere").exists()


def neutral(answer, address: str) -> tuple[int, str]:
    """A page without the address, and without what is another one each time."""
    changing = r"[\w.-]{40,}|\bnonce=\S+|/people/invitations/[^\"]*|\d\d:\d\d:\d\d\S*"
    text = re.sub(changing, "*", answer.content.decode())
    return answer.status_code, text.replace(address, "*")


def test_a_passed_on_link_has_another_one_mailed_that_lets_in(client, as_administrator, account_server):
    passed_on = link_in(as_administrator.post("/people/invite", {"name": "Nora", "email": "nora@example.org"}))
    Invitation.objects.update(mailed_at=timezone.now() - timedelta(hours=1))
    first = mailed_link(account_server)
    assert client.post(passed_on, NEWCOMER).status_code == 200
    assert not User.objects.filter(email="nora@example.org").exists()
    assert client.post(first, NEWCOMER).status_code == 404, "the newest mailed link replaces it"
    assert client.post(mailed_link(account_server), NEWCOMER)["Location"] == "/"
    assert client.get(passed_on).status_code == 404


def test_a_passed_on_link_does_not_fill_the_mailbox(client, as_administrator, account_server):
    passed_on = link_in(as_administrator.post("/people/invite", {"name": "Nora", "email": "nora@example.org"}))
    for _ in range(5):
        assert "Look into your mailbox" in client.post(passed_on).content.decode()
    assert len(account_server.taken) == 1


@pytest.mark.proves("A1")
def test_a_mail_that_did_not_leave_is_tried_again_at_once(client, as_administrator, dana, account_server, settings):
    passed_on = link_in(as_administrator.post("/people/invite", {"name": "Nora", "email": "nora@example.org"}))
    reachable = settings.ACCOUNT_MAIL_URL
    Invitation.objects.update(mailed_at=timezone.now() - timedelta(minutes=2))
    settings.ACCOUNT_MAIL_URL = "smtp+plain://127.0.0.1:1"
    client.post(passed_on)
    Invitation.objects.update(mailed_at=timezone.now())  # the mail before, which arrived; its link is void by now
    settings.ACCOUNT_MAIL_URL = reachable
    assert "Look into your mailbox" in client.post(passed_on).content.decode()
    assert len(account_server.taken) == 2
    assert client.post(mailed_link(account_server), NEWCOMER)["Location"] == "/"


def test_where_account_mail_does_not_get_through_the_passed_on_link_counts_by_itself(
    client, as_administrator, account_server
):
    passed_on = link_in(as_administrator.post("/people/invite", {"name": "Nora", "email": "nora@example.org"}))
    Invitation.objects.update(failure="The account-mail server could not be reached.")
    assert client.post(passed_on, NEWCOMER)["Location"] == "/"


@pytest.mark.proves("A1")
def test_with_several_organizations_a_passed_on_link_never_counts_by_itself(client, as_administrator, dana, settings):
    """Or who invites would learn by it which addresses sign in elsewhere."""
    settings.ACCOUNT_MAIL_URL = "smtp+plain://127.0.0.1:1"
    answers = []
    for address in (dana.email, "d4n4@elsewhere.example"):
        page = as_administrator.post("/people/invite", {"name": "Dana", "email": address})
        assert "has to work first" in page.content.decode()
        answers.append([neutral(client.post(link_in(page), NEWCOMER), address) for _ in range(2)])
        as_administrator.post(f"/people/invitations/{Invitation.objects.latest('pk').pk}/withdraw")
    assert answers[0] == answers[1]
    assert "The mail could not be sent." in answers[0][0][1]
    assert not Invitation.objects.filter(accepted_at__isnull=False).exists()


def test_with_several_organizations_the_operator_passes_printed_links_on(client, as_administrator, dana, capsys):
    as_administrator.post("/people/invite", {"name": "Nora", "email": "nora@example.org"})
    printed = re.search(r"http://testserver(/people/invitations/\S+)", capsys.readouterr().out)[1]
    assert client.post(printed, NEWCOMER)["Location"] == "/"


@pytest.mark.parametrize(
    "loss",
    [
        lambda mona, administrator: people.deactivate(mona, by=administrator, now=timezone.now()),
        lambda mona, administrator: people.remove(mona, by=administrator, now=timezone.now()),
        lambda mona, administrator: OperationGrant.objects.filter(user=mona).delete(),
    ],
    ids=["deactivated", "removed", "manages people no more"],
)
def test_links_of_somebody_who_lost_the_right_open_nothing(mona, administrator, loss):
    _, token = invitations.invite(
        mona.organization, name="Nora", email="nora@example.org", roles=[], by=mona, now=timezone.now()
    )
    loss(mona, administrator)
    assert why_not(token) is Reason.WITHDRAWN


def test_a_role_that_grew_since_is_not_given_by_an_old_link(mona, sales, give):
    _, token = invitations.invite(
        mona.organization, name="Nora", email="nora@example.org", roles=[sales], by=mona, now=timezone.now()
    )
    give(sales, Operation.MANAGE_MAIL_SERVERS)
    assert why_not(token) is Reason.WITHDRAWN


def test_who_manages_people_cannot_copy_the_link_of_an_administrator_to_be(as_mona, administrator):
    """Whoever has the link chooses the password: it would make Mona an administrator."""
    invitation, _ = invitations.invite(
        administrator.organization,
        name="Nora",
        email="nora@example.org",
        roles=[administrators_of(administrator.organization)],
        by=administrator,
        now=timezone.now(),
    )
    for method, what in ((as_mona.get, "renew"), (as_mona.post, "renew"), (as_mona.post, "withdraw")):
        assert method(f"/people/invitations/{invitation.pk}/{what}").status_code == 403
    before = invitation.token_hash
    invitation.refresh_from_db()
    assert (invitation.token_hash, invitation.withdrawn_at) == (before, None)


def test_who_manages_people_is_offered_only_roles_that_are_hers_to_give(as_mona, administrator, sales, give):
    give(sales, Operation.MANAGE_MAIL_SERVERS)
    top = administrators_of(administrator.organization)
    page = as_mona.get("/people/invite").content.decode()
    assert "Sales" not in page
    for role in (sales, top):
        answer = as_mona.post("/people/invite", {"name": "N", "email": "n@example.org", "roles": [role.pk]})
        assert answer.status_code == 422
    assert not Invitation.objects.exists()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"name": ""}, "“Name” is empty"),
        ({"name": "x" * 151}, "at most 150"),
        ({"name": "A\r\nBcc: x@example.org"}, "in one line"),
        ({"name": "A\x00"}, "cannot be kept"),
        ({"email": "nobody"}, "wants an email address"),
        ({"email": "n@example.org\r\nBcc: x@example.org"}, "wants an email address"),
        ({"roles": ["99999999999999999999"]}, "does not offer that"),
        ({"roles": ["x"]}, "does not offer that"),
    ],
)
def test_wrong_input_is_explained_and_invites_nobody(as_administrator, values, words):
    answer = as_administrator.post("/people/invite", {"name": "Nora", "email": "nora@example.org", **values})
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Invitation.objects.exists()


def test_a_weak_password_is_explained_and_the_link_still_works(client, invited):
    _, token = invited
    for password in ("short", "nora@example.org", ""):
        answer = client.post(f"/people/invitations/{token}", {**NEWCOMER, "password": password})
        assert answer.status_code == 422
    assert client.post(f"/people/invitations/{token}", NEWCOMER).status_code == 302


def test_a_failed_mail_is_said_in_words_and_the_link_is_shown_all_the_same(as_administrator, settings):
    settings.ACCOUNT_MAIL_URL = "smtp://accounts%40example.org:pass-word@10.9.9.9:587"
    answer = as_administrator.post("/people/invite", {"name": "Nora", "email": "nora@example.org"})
    page = answer.content.decode()
    assert "its mail did not leave" in page
    assert "10.9.9.9:587 could not be reached" in page
    assert "pass-word" not in page
    assert link_in(answer)
    assert "Invited, not mailed" in as_administrator.get("/people/").content.decode()


@pytest.mark.django_db(transaction=True)
def test_two_uses_at_the_same_moment_make_one_user(invited):
    _, token = invited
    nora = Newcomer(name="Nora", password="a long enough word")
    outcomes = simultaneously(*[lambda: invitations.accept(token, nora, now=timezone.now())] * 2)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["UnusableInvitation", "User"]
    assert User.objects.filter(email="nora@example.org").count() == 1
