"""`/providers` and `/provider-domains`: what the pages of the catalog do, in JSON (spec C1 to C3, L1)."""

from __future__ import annotations

import pytest

from organizations.models import AuditEntry
from organizations.scopes import Scope
from providers.models import HiddenProvider, Provider, ProviderDomain
from tests.api.conftest import Api, assert_problem, fields
from tests.providers.conftest import google

__all__ = ["google"]

pytestmark = pytest.mark.proves("L1")

NEW = {
    "name": "Northwind Mail",
    "incoming": {"host": "imap.northwind.example"},
    "outgoing": {"host": "smtp.northwind.example", "port": 587, "security": "starttls", "username": "local_part"},
    "limits": {"per_day": 500, "message_size": 1_500_000},
}


@pytest.fixture
def api(api_of, administrator) -> Api:
    return api_of(administrator)


def actions(beginning: str) -> list[str]:
    entries = AuditEntry.objects.filter(action__startswith=beginning).order_by("pk")
    return [entry.action for entry in entries]


@pytest.mark.proves("C2")
def test_an_own_provider_is_added_changed_and_deleted(api):
    added = api.post("/providers", NEW)
    assert added.status_code == 201
    assert added.data["is_own"] is True
    assert added.data["incoming"] == {
        "host": "imap.northwind.example",
        "port": 993,
        "security": "tls",
        "username": "address",
    }
    assert added.data["outgoing"] == NEW["outgoing"]
    assert added.data["limits"] == NEW["limits"], "octets, to the last one"
    path = f"/providers/{added.data['id']}"
    assert api.get(path).data == added.data
    changed = api.patch(
        path, {"incoming": None, "outgoing": {"port": 465, "security": "tls"}, "limits": {"per_day": None}}
    )
    assert changed.data["incoming"] is None
    assert changed.data["outgoing"] == NEW["outgoing"] | {"port": 465, "security": "tls"}
    assert changed.data["limits"] == {"message_size": 1_500_000}
    assert api.delete(path).status_code == 204
    assert_problem(api.get(path), 404, "not-found")
    assert actions("provider.") == ["provider.created", "provider.changed", "provider.deleted"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "google (gmail)"}, "name"),
        ({"incoming": {}}, "incoming.host"),
        ({"incoming": {"host": "https://imap.northwind.example"}}, "incoming.host"),
        ({"outgoing": {"host": "smtp.northwind.example", "port": 0}}, "outgoing.port"),
        ({"incoming": None, "outgoing": None}, "incoming"),
        ({"status": "not_possible"}, "hint"),
        ({"status": "perhaps"}, "status"),
        ({"instructions_url": "http://northwind.example"}, "instructions_url"),
        ({"timeout": 301}, "timeout"),
        ({"limits": {"per_day": 0}}, "limits.per_day"),
        ({"limits": {"colour": 1}}, "limits.colour"),
    ],
)
def test_what_is_wrong_is_named_as_it_was_sent(api, google, change, field):
    assert any(field in name for name in fields(api.post("/providers", NEW | change)))
    assert not Provider.objects.filter(organization__isnull=False).exists()


@pytest.mark.proves("C2")
def test_a_built_in_provider_is_overridden_and_given_back(api, api_of, dana, google):
    assert api.patch(f"/providers/{google.pk}", {}).data["is_own"] is False
    own = api.patch(f"/providers/{google.pk}", {"hint": "Ask Ada first."})
    assert (own.status_code, own.data["is_own"], own.data["key"]) == (200, True, "google")
    assert own.data["limits"] == google.limits
    again = api.patch(f"/providers/{google.pk}", {"hint": "Ask Bob first."})
    assert (again.data["id"], again.data["hint"]) == (own.data["id"], "Ask Bob first.")
    assert api_of(dana).get(f"/providers/{google.pk}").data["hint"] == google.hint
    refused = api.delete(f"/providers/{google.pk}")
    assert_problem(refused, 403, "forbidden")
    assert "built in" in refused.data["detail"]
    assert api.delete(f"/providers/{own.data['id']}").status_code == 204
    assert api.get(f"/providers/{google.pk}").data["hint"] == google.hint
    assert actions("provider.") == ["provider.overridden", "provider.changed", "provider.restored"]


def test_a_hidden_provider_is_offered_to_nobody_and_found_by_who_manages_them(api, api_of, alice, google):
    hers = api_of(alice)
    for _ in range(2):  # harmless when repeated
        assert api.post(f"/providers/{google.pk}/hide").data["is_hidden"] is True
    assert hers.get("/providers").data["items"] == api.get("/providers").data["items"] == []
    assert [one["is_hidden"] for one in api.get("/providers?with_hidden=true").data["items"]] == [True]
    assert_problem(hers.get("/providers?with_hidden=true"), 403, "forbidden")
    assert_problem(hers.get(f"/providers/{google.pk}"), 404, "not-found")
    assert api.post(f"/providers/{google.pk}/show").data["is_hidden"] is False
    assert hers.get(f"/providers/{google.pk}").status_code == 200
    assert not HiddenProvider.objects.exists()
    assert actions("provider.") == ["provider.hidden", "provider.shown"]


@pytest.mark.proves("C3")
def test_a_domain_is_set_changed_and_forgotten(api, google):
    added = api.post("/provider-domains", {"domain": "Bücher.example", "provider": google.pk})
    assert added.status_code == 201
    assert (added.data["domain"], added.data["is_own"]) == ("xn--bcher-kva.example", True)
    path = f"/provider-domains/{added.data['id']}"
    assert fields(api.post("/provider-domains", {"domain": "bücher.example", "provider": google.pk})) == ["domain"]
    assert api.patch(path, {"covers_subdomains": True}).data == added.data | {"covers_subdomains": True}
    assert fields(api.patch(path, {"provider": 10**12})) == ["provider"]
    assert api.delete(path).status_code == 204
    assert_problem(api.delete(path), 404, "not-found")
    assert actions("provider_domain.") == [
        "provider_domain.created",
        "provider_domain.changed",
        "provider_domain.deleted",
    ]


def test_a_built_in_domain_is_overruled_not_changed(api, google):
    built_in = ProviderDomain.objects.get(domain="gmail.com")
    assert_problem(api.delete(f"/provider-domains/{built_in.pk}"), 403, "forbidden")
    assert_problem(api.patch(f"/provider-domains/{built_in.pk}", {"covers_subdomains": True}), 403, "forbidden")
    assert api.post("/provider-domains", {"domain": "gmail.com", "provider": google.pk}).status_code == 201


def test_writing_needs_its_scope_and_the_operation(api_of, administrator, alice):
    reading = api_of(administrator, Scope.PROVIDERS_READ).post("/providers", NEW)
    assert_problem(reading, 403, "scope-missing")
    assert reading.data["scope"] == "providers:write"
    assert_problem(api_of(alice).post("/providers", NEW), 403, "operation-missing")
    assert not Provider.objects.exists()
