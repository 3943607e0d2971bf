"""`/providers/{id}/logo` and `/providers/{id}/check` (spec C2, L1)."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO

import pytest
from PIL import Image

from mailservers.streaming import MOST_AT_ONCE, PLACES
from organizations.models import AuditEntry
from providers import entries, logos
from providers.models import Provider, ProviderDomain
from tests.accounts.conftest import reach_loopback, rules, running_sandbox, sandbox
from tests.api.conftest import Api, assert_problem, fields
from tests.providers.conftest import google, make_own, picture

__all__ = ["google", "make_own", "reach_loopback", "rules", "running_sandbox", "sandbox"]

pytestmark = [pytest.mark.proves("L1", "C2"), pytest.mark.django_db]


@pytest.fixture
def api(api_of, administrator) -> Api:
    return api_of(administrator)


def kept() -> list[AuditEntry]:
    """What the audit log has about providers."""
    return list(AuditEntry.objects.filter(action__startswith="provider.").order_by("pk"))


def put(api: Api, provider: Provider, octets: bytes):
    return api.call("PUT", f"/providers/{provider.pk}/logo", {"image": b64encode(octets).decode()})


# --- The logo ---------------------------------------------------------------------------------------------------


def test_a_logo_is_encoded_anew_and_shown_to_everybody_here(api, api_of, alice, dana, make_own):
    own = make_own("Northwind")
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    for _ in range(2):  # harmless when repeated
        assert put(api, own, picture("JPEG", exif=exif)).data["has_logo"] is True
    shown = api_of(alice).get(f"/providers/{own.pk}/logo")
    assert (shown["Content-Type"], shown["X-Content-Type-Options"]) == ("image/png", "nosniff")
    with Image.open(BytesIO(shown.content)) as image:
        assert (image.format, image.size) == ("PNG", (logos.SIDE, logos.SIDE))
    assert b"taken at home" not in shown.content
    assert_problem(api_of(dana).get(f"/providers/{own.pk}/logo"), 404, "not-found")
    assert AuditEntry.objects.filter(action="provider.changed").latest("pk").detail["logo"] == "changed"


def test_a_logo_is_removed_once(api, make_own):
    own = make_own("Northwind")
    put(api, own, picture("PNG"))
    for _ in range(2):
        assert api.delete(f"/providers/{own.pk}/logo").status_code == 204
    assert api.get(f"/providers/{own.pk}").data["has_logo"] is False
    assert_problem(api.get(f"/providers/{own.pk}/logo"), 404, "not-found")
    assert [entry.detail["logo"] for entry in kept()] == ["changed", "removed"]


def test_a_built_in_provider_gets_an_own_one_in_its_place(api, organization, google):
    answer = put(api, google, picture("WEBP"))
    own = Provider.objects.get(organization=organization, key=google.key)
    assert (answer.data["id"], answer.data["is_own"], answer.data["has_logo"]) == (own.pk, True, True)
    google.refresh_from_db()
    assert google.logo_digest == ""
    assert put(api, google, picture("PNG")).data["id"] == own.pk
    assert [entry.action for entry in kept()] == ["provider.overridden", "provider.changed"]


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        b"<!DOCTYPE html><html><body>hello</body></html>",
        b"plain words",
        b"\x00" * 1000,
        picture("GIF", mode="P"),
        picture("PNG", (2049, 1)),
        picture("PNG") + b"PK\x03\x04 and an archive",
        picture("PNG")[:-20],
        picture("PNG") + bytes(logos.LARGEST_FILE),
    ],
    ids=lambda octets: repr(octets[:20]),
)
def test_what_is_no_logo_is_refused_and_nothing_changes(api, make_own, octets):
    own = make_own("Northwind")
    put(api, own, picture("PNG"))
    before = Provider.objects.get(pk=own.pk).logo_digest
    assert fields(put(api, own, octets)) == ["image"]
    assert Provider.objects.get(pk=own.pk).logo_digest == before
    assert len(kept()) == 1


@pytest.mark.parametrize("image", ["%%%", "a", "é", "a\x00b", "a\r\nb", 7, None, [], "A" * 400_000])
def test_what_is_no_base64_is_refused(api, make_own, image):
    own = make_own("Northwind")
    assert fields(api.call("PUT", f"/providers/{own.pk}/logo", {"image": image})) == ["image"]
    assert not Provider.objects.get(pk=own.pk).logo_digest


def test_a_huge_body_is_not_read(api, make_own):
    own = make_own("Northwind")
    answer = api.call("PUT", f"/providers/{own.pk}/logo", {"image": "A" * 600_000})
    assert_problem(answer, 413, "too-large")


def test_another_organizations_provider_gets_no_logo(api, make_own, other_organization):
    theirs = make_own("Theirs", organization=other_organization)
    assert_problem(put(api, theirs, picture("PNG")), 404, "not-found")
    assert_problem(api.delete(f"/providers/{theirs.pk}/logo"), 404, "not-found")
    assert_problem(api.post(f"/providers/{theirs.pk}/check", {"address": "a@example.com"}), 404, "not-found")


# --- The test ---------------------------------------------------------------------------------------------------


def test_both_servers_answer_and_nobody_logs_in(api, sandbox):
    provider = ProviderDomain.objects.get(domain="sandbox.test").provider
    found = api.post(f"/providers/{provider.pk}/check", {"address": "nobody@sandbox.test"}).data
    assert (found["ok"], found["incoming"]["ok"], found["outgoing"]["ok"]) == (True, True, True)
    assert (found["recognised"], found["is_this_one"], found["is_hidden"]) == (provider.pk, True, False)
    assert (found["imap_username"], found["smtp_username"]) == ("nobody@sandbox.test",) * 2
    assert "login" not in [step["name"] for step in found["steps"]]


@pytest.mark.proves("J2")
def test_a_host_inside_is_not_dialled(api, make_own, rules):
    own = make_own("Inside", imap_host="127.0.0.1", smtp_host="169.254.169.254")
    found = api.post(f"/providers/{own.pk}/check", {"address": "anna@northwind.example"}).data
    assert (found["ok"], found["steps"], found["recognised"]) == (False, [], None)
    assert found["diagnosis"]["title"]


def test_it_says_whom_the_wizard_would_choose_and_that_it_is_hidden(api, administrator, google, make_own):
    own = make_own("Northwind", imap_host="", smtp_host="")
    entries.hide(google, administrator)
    found = api.post(f"/providers/{own.pk}/check", {"address": "anna@gmail.com"}).data
    assert (found["recognised"], found["is_this_one"], found["is_hidden"]) == (google.pk, False, True)
    assert (found["ok"], found["incoming"], found["imap_username"]) == (False, None, None)


@pytest.mark.parametrize(
    "address", ["", "anna", "anna@", "a b@gmail.com", "x" * 400, "a\x00@gmail.com", "a\r\n@gmail.com", 7, None]
)
def test_what_is_no_address_is_said(api, google, address):
    assert fields(api.post(f"/providers/{google.pk}/check", {"address": address})) == ["address"]


def test_only_a_few_run_at_once(api, administrator, google):
    taken = [PLACES.take(administrator.pk) for _ in range(MOST_AT_ONCE)]
    try:
        answer = api.post(f"/providers/{google.pk}/check", {"address": "anna@gmail.com"})
    finally:
        for _ in filter(None, taken):
            PLACES.give_back(administrator.pk)
    assert_problem(answer, 429, "too-many-checks")
