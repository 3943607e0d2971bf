"""`/discovery` and `/mailboxes/connect`: one's own mailbox, as the wizard connects it (spec C4 to C6, E1, L1)."""

from __future__ import annotations

import pytest

from accounts.forms import AddressForm
from accounts.models import Mailbox
from mailservers.streaming import MOST_AT_ONCE, PLACES
from mailstore.models import SyncSchedule
from organizations.models import AuditEntry
from providers import entries
from providers.models import Authentication, LoginRule, Provider, ProviderDomain, Status
from tests.accounts.conftest import make_provider, reach_loopback, rules, running_sandbox, sandbox
from tests.api.conftest import Api, assert_problem, fields
from tests.sandbox.running import ALICE

__all__ = ["make_provider", "reach_loopback", "rules", "running_sandbox", "sandbox"]

pytestmark = [pytest.mark.proves("L1"), pytest.mark.django_db]


@pytest.fixture
def api(api_of, alice) -> Api:
    return api_of(alice)


@pytest.fixture
def mine(sandbox) -> dict[str, object]:
    return {"address": ALICE, "password": sandbox.password}


@pytest.fixture
def by_hand(sandbox) -> dict[str, object]:
    """The same servers, typed, for an address of a domain that nobody knows."""
    servers = {
        "incoming": {"host": "imap.sandbox.test", "port": sandbox.imap_port, "security": "none"},
        "outgoing": {"host": "smtp.sandbox.test", "port": sandbox.smtp_port, "security": "none"},
        "accepts_clear_text": True,
    }
    return {
        "address": "alice@unknown.example",
        "display_name": "Alice Doe",
        "username": ALICE,
        "password": sandbox.password,
        "servers": servers,
    }


# --- Before the password ----------------------------------------------------------------------------------------


def test_an_address_leads_to_its_provider_with_the_hint_and_what_is_asked(api, make_provider):
    make_provider(
        "northwind",
        "northwind.example",
        hint="Switch IMAP on first.",
        instructions_url="https://northwind.example/imap",
        authentication="app_password",
        imap_login=LoginRule.TYPED,
    )
    found = api.get("/discovery?address=anna@northwind.example").data
    provider = found["provider"]
    assert (found["source"], found["obstacle"], found["asks_username"]) == ("catalog", "", True)
    assert (provider["hint"], provider["authentication"]) == ("Switch IMAP on first.", "app_password")
    assert provider["instructions_url"] == "https://northwind.example/imap"
    assert (found["may_type_servers"], found["password_goes_to"]) == (True, [])


@pytest.mark.proves("C6")
@pytest.mark.parametrize(
    "values",
    [
        {"status": Status.NOT_POSSIBLE, "hint": "It lets no other program in.", "imap_host": ""},
        {"authentication": Authentication.OAUTH, "hint": "It takes only its own sign-in page."},
        {"imap_host": ""},
    ],
)
def test_an_obstacle_is_told_before_and_instead_of_any_attempt(api, make_provider, values):
    provider = make_provider("closed", "closed.example", **values)
    assert api.get("/discovery?address=anna@closed.example").data["obstacle"] == provider.obstacle()
    answer = api.post("/mailboxes/connect", {"address": "anna@closed.example", "password": "typed"})
    assert fields(answer) == ["address"]
    assert provider.obstacle() in answer.data["detail"]
    chosen = {"address": "anna@else.example", "password": "typed", "provider": provider.pk}
    assert fields(api.post("/mailboxes/connect", chosen)) == ["provider"]
    assert not Mailbox.objects.exists()


@pytest.mark.proves("B3")
def test_a_hidden_provider_is_neither_offered_nor_connected(api, administrator, mine):
    hidden = Provider.objects.get(key="sandbox")
    entries.hide(hidden, administrator)
    found = api.get(f"/discovery?address={ALICE}").data
    assert (found["source"], found["provider"]) == ("hidden", None)
    assert "is not offered here" in found["obstacle"]
    assert fields(api.post("/mailboxes/connect", mine)) == ["address"]
    assert fields(api.post("/mailboxes/connect", mine | {"provider": hidden.pk})) == ["provider"]
    assert not Mailbox.objects.exists()


# --- Connecting -------------------------------------------------------------------------------------------------


@pytest.mark.proves("E1")
def test_an_address_and_its_password_make_a_mailbox(api, alice, mine, sandbox):
    answer = api.post("/mailboxes/connect", mine)
    assert answer.status_code == 201, answer.content
    mailbox = Mailbox.objects.get()
    assert answer.data["id"] == mailbox.pk
    assert (mailbox.owner, mailbox.address, mailbox.display_name) == (alice, ALICE, "Alice")
    assert (answer.data["can_send"], answer.data["attention"]) == (True, None)
    assert mailbox.password.reveal() == sandbox.password
    assert sandbox.password.encode() not in answer.content
    assert SyncSchedule.objects.filter(mailbox=mailbox).exists()
    assert AuditEntry.objects.get(action="mailbox.connected").object_label == ALICE


def test_connecting_it_again_names_the_mailbox_and_changes_nothing(api, mine):
    first = api.post("/mailboxes/connect", mine).data
    again = api.post("/mailboxes/connect", mine | {"password": "another-1", "address": ALICE.upper()})
    assert_problem(again, 409, "already-connected")
    assert again.data["mailbox"] == first["id"]
    assert Mailbox.objects.count() == 1


def test_two_calls_at_the_same_moment_find_the_same_mailbox(api, mine, monkeypatch):
    monkeypatch.setattr(AddressForm, "clean_address", lambda form: form.cleaned_data["address"])
    first, second = (api.post("/mailboxes/connect", mine).data["id"] for _ in range(2))
    assert first == second


@pytest.mark.proves("D1", "D2")
def test_a_wrong_password_keeps_nothing_and_answers_with_the_check(api, mine):
    answer = api.post("/mailboxes/connect", mine | {"password": "wrong-typed-1"})
    assert_problem(answer, 422, "not-connected")
    assert (answer.data["ok"], answer.data["incoming"]["ok"], answer.data["outgoing"]["ok"]) == (False, False, False)
    assert answer.data["diagnosis"]["causes"][0]["cure"] in answer.data["detail"]
    assert [step["name"] for step in answer.data["steps"] if step["status"] == "failed"] == ["login", "login"]
    assert b"wrong-typed-1" not in answer.content
    assert not Mailbox.objects.exists()


@pytest.mark.proves("D1")
def test_a_mailbox_that_can_only_read_is_kept_and_says_so(api, mine):
    Provider.objects.filter(key="sandbox").update(smtp_port=1)
    answer = api.post("/mailboxes/connect", mine)
    assert answer.status_code == 201
    assert (answer.data["can_send"], answer.data["state"]) == (False, "needs_attention")
    assert answer.data["attention"]["title"]


@pytest.mark.proves("C5")
def test_an_unknown_domain_wants_a_provider_which_is_learned(api, alice, mine):
    unknown = mine | {"address": "alice@unknown.example", "username": ALICE}
    assert fields(api.post("/mailboxes/connect", unknown)) == ["provider"]
    sandbox = Provider.objects.get(key="sandbox")
    Provider.objects.update(imap_login=LoginRule.TYPED, smtp_login=LoginRule.TYPED)
    assert api.post("/mailboxes/connect", unknown | {"provider": sandbox.pk}).status_code == 201
    assert ProviderDomain.objects.get(domain="unknown.example").taught_by == alice
    assert api.get("/discovery?address=bob@unknown.example").data["password_goes_to"]


@pytest.mark.proves("C5", "E1")
def test_typed_servers_connect_and_are_learned(api, alice, by_hand):
    Provider.objects.all().delete()  # the sandbox lets a login send only as itself, so its own domain is unknown now
    answer = api.post("/mailboxes/connect", by_hand | {"address": ALICE})
    assert answer.status_code == 201, answer.content
    mailbox = Mailbox.objects.get()
    assert (mailbox.imap_host, mailbox.imap_username, mailbox.imap_security) == ("imap.sandbox.test", ALICE, "none")
    assert ProviderDomain.objects.get(domain="sandbox.test").organization == alice.organization


def test_a_mailbox_that_only_sends_needs_no_incoming_server(api, by_hand):
    servers = {**by_hand["servers"], "incoming": None}
    answer = api.post("/mailboxes/connect", by_hand | {"address": ALICE, "servers": servers})
    assert (answer.data["receives"], answer.data["can_send"]) == (False, True)


@pytest.mark.proves("B3")
def test_who_may_not_type_servers_is_refused_before_anything_is_dialled(api, api_of, administrator, by_hand):
    administrator.organization.allows_typed_servers = False
    administrator.organization.save()
    assert_problem(api.post("/mailboxes/connect", by_hand), 403, "forbidden")
    assert api.get(f"/discovery?address={ALICE}").data["may_type_servers"] is False
    assert not AuditEntry.objects.filter(action__startswith="mailbox.connect").exists()
    assert api_of(administrator).post("/mailboxes/connect", by_hand).status_code == 201


@pytest.mark.proves("J3")
def test_no_protection_has_to_be_confirmed(api, by_hand):
    servers = {**by_hand["servers"], "accepts_clear_text": False}
    assert fields(api.post("/mailboxes/connect", by_hand | {"servers": servers})) == ["servers.accepts_clear_text"]


@pytest.mark.proves("J2")
def test_hosts_inside_are_not_dialled(api, rules):
    body = {"address": "a@inside.example", "password": "x", "servers": {"incoming": {"host": "169.254.169.254"}}}
    answer = api.post("/mailboxes/connect", body)
    assert_problem(answer, 422, "not-connected")
    assert answer.data["steps"] == []


def test_a_port_follows_the_security(api, rules, monkeypatch):
    dialled = []
    monkeypatch.setattr("accounts.connect_api.parts_of", lambda wish, organization: dialled.append(wish.servers) or {})
    for security, ports in {"tls": (993, 465), "starttls": (143, 587)}.items():
        server = {"host": "mail.example.com", "security": security}
        body = {"address": "a@else.example", "password": "x", "servers": {"incoming": server, "outgoing": server}}
        api.post("/mailboxes/connect", body)
        assert (dialled[-1].incoming.port, dialled[-1].outgoing.port) == ports
        assert dialled[-1].imap_username == "a@else.example"


# --- Bad input --------------------------------------------------------------------------------------------------

HOST = "imap.example.com"


@pytest.mark.parametrize(
    ("changes", "members"),
    [
        ({"address": ""}, ["address"]),
        ({"address": "anna"}, ["address"]),
        ({"address": "anna@exa\r\nmple.com"}, ["address"]),
        ({"address": "anna\x00@example.com"}, ["address"]),
        ({"address": "a" * 400 + "@example.com"}, ["address"]),
        ({"address": ["a@example.com"]}, ["address"]),
        ({"password": ""}, ["password"]),
        ({"password": "a\r\nLOGOUT"}, ["password"]),
        ({"password": "x" * 1001}, ["password"]),
        ({"password": None}, ["password"]),
        ({"display_name": "Anna\r\nBcc: x@example.com"}, ["display_name"]),
        ({"display_name": "x" * 151}, ["display_name"]),
        ({"username": "a\r\nb"}, ["username"]),
        ({"provider": 10**18}, ["provider"]),
        ({"provider": "1"}, ["provider"]),
        ({"provider": 0}, ["provider"]),
        ({"provider": 1, "servers": {"incoming": {"host": HOST}}}, ["servers"]),
        ({"servers": {}}, ["servers.incoming.host"]),
        ({"servers": {"incoming": {"host": ""}}}, ["servers.incoming.host"]),
        ({"servers": {"incoming": {"host": "https://imap.example.com/"}}}, ["servers.incoming.host"]),
        ({"servers": {"incoming": {"host": "a\r\nb"}}}, ["servers.incoming.host"]),
        ({"servers": {"outgoing": {"host": "x" * 300}}}, ["servers.outgoing.host"]),
        ({"servers": {"outgoing": {"host": HOST, "port": 70000}}}, ["servers.outgoing.port"]),
        ({"servers": {"outgoing": {"host": HOST, "security": "ssl3"}}}, ["servers.outgoing.security"]),
        ({"servers": {"incoming": {"host": HOST, "user": "x"}}}, ["servers.incoming.user"]),
        ({"owner": 1}, ["owner"]),
    ],
)
def test_a_wrong_value_is_named_and_nothing_is_dialled(api, rules, changes, members, monkeypatch):
    monkeypatch.setattr("accounts.connect_api.parts_of", lambda *_: pytest.fail("it was tried"))
    body = {"address": "anna@unknown.example", "password": "secret", "provider": None, **changes}
    assert [name.removeprefix("body.") for name in fields(api.post("/mailboxes/connect", body))] == members
    assert not Mailbox.objects.exists()


def test_a_provider_of_another_organization_is_unknown(api, other_organization, rules):
    theirs = Provider.objects.create(
        organization=other_organization, key="own_theirs", name="Theirs", imap_host="imap.theirs.example"
    )
    body = {"address": "anna@theirs.example", "password": "secret", "provider": theirs.pk}
    assert fields(api.post("/mailboxes/connect", body)) == ["provider"]


def test_a_token_that_is_bound_to_mailboxes_connects_no_others(api_of, alice, mailbox):
    bound = api_of(alice, mailboxes=[mailbox])
    body = {"address": "anna@unknown.example", "password": "secret"}
    assert_problem(bound.post("/mailboxes/connect", body), 403, "token-bound")


def test_only_a_few_are_tried_at_once(api, alice, mine):
    taken = [PLACES.take(alice.pk) for _ in range(MOST_AT_ONCE)]
    try:
        answer = api.post("/mailboxes/connect", mine)
    finally:
        for _ in filter(None, taken):
            PLACES.give_back(alice.pk)
    assert_problem(answer, 429, "too-many-checks")
    assert int(answer["Retry-After"]) > 0
    assert api.post("/mailboxes/connect", mine).status_code == 201
