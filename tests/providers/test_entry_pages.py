"""The list, the card and the form of an entry, as a browser asks for them (spec C1, C2)."""

from __future__ import annotations

import base64

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from organizations.models import OperationGrant
from organizations.operations import Operation
from providers import entries, logos
from providers.catalog import load_catalog
from providers.models import HiddenProvider, Provider, ProviderDomain, ProviderLogo
from tests.providers.conftest import HTMX, picture, url, words


def names_on(answer) -> list[str]:
    return [row.provider.name for row in answer.context["page"].rows]


# --- The list ---------------------------------------------------------------------------------------------------


@pytest.mark.proves("C2")
def test_the_whole_catalog_comes_in_pages_without_a_gap(ada, db):
    load_catalog()
    found, address = [], url("list")
    while address:
        answer = ada.get(address, headers=HTMX if found else {})
        assert answer.status_code == 200
        found += names_on(answer)
        page = answer.context["page"]
        address = answer.context["older"] if page.next else ""
    wanted = Provider.objects.filter(organization=None)
    assert len(found) == wanted.count() > 190
    assert sorted(found) == sorted(wanted.values_list("name", flat=True))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=google", ["Google (Gmail)"]),
        ("q=GOOGLEMAIL.com", ["Google (Gmail)"]),
        ("q=anna@gmail.com", ["Google (Gmail)"]),
        ("q=imap.gmail", ["Google (Gmail)"]),
        ("q=bücher.example", ["Northwind"]),
        ("q=nobody", []),
        ("status=not_possible", ["HEY"]),
        ("authentication=app_password", ["Google (Gmail)"]),
        ("show=own", ["Northwind"]),
        ("show=built_in", ["Google (Gmail)", "HEY"]),
        ("show=hidden", ["HEY"]),
        ("show=nonsense&status=x&after=-3", ["Google (Gmail)", "HEY", "Northwind"]),
        ("q=%00&after=99999999999999999999", ["Google (Gmail)", "HEY", "Northwind"]),
        ("after=123456", ["Google (Gmail)", "HEY", "Northwind"]),
        ("q=%25", []),
    ],
)
def test_the_list_is_searched_and_filtered(ada, google, hey, make_own, administrator, query: str, found: list[str]):
    make_own("Northwind", "xn--bcher-kva.example")
    entries.hide(hey, administrator)
    answer = ada.get(f"{url('list')}?{query}")
    assert answer.status_code == 200
    assert names_on(answer) == found


def test_each_line_says_whose_it_is_and_what_uses_it(ada, google, hey, override, administrator, make_mailbox, dana):
    own = override(google)
    make_mailbox("anna@gmail.com", administrator, provider=own)
    make_mailbox("dana@gmail.com", dana, provider=google)
    ProviderDomain.objects.create(organization=administrator.organization, domain="gmail.com", provider=hey)
    entries.hide(hey, administrator)
    text = words(ada.get(url("list")))
    assert "Google (Gmail) Overridden imap.gmail.com Needs preparation App password 1 domain Used by 1 mailbox" in text
    assert "HEY Hidden No servers Not possible Password 2 domains Not used" in text


def test_what_another_organization_has_is_not_listed(ada, make_own, other_organization):
    make_own("Secret desk", "secret.example", organization=other_organization)
    for query in ("", "?q=secret"):
        assert "Secret" not in ada.get(url("list") + query).content.decode().replace("q=secret", "")
        assert names_on(ada.get(url("list") + query)) == []


def test_a_longer_list_asks_no_more_queries(ada, google, make_own, administrator, make_mailbox, assert_queries):
    def grow() -> None:
        for number in range(12):
            own = make_own(f"Own {number}", f"own-{number}.example")
            make_mailbox(f"a@own-{number}.example", administrator, provider=own)
            entries.hide(own, administrator)

    assert_queries.constant(lambda: ada.get(url("list")), grow)


def test_without_the_operation_there_is_no_catalog(client_of, alice, google, organization):
    browser = client_of(alice)
    for address in (url("list"), url("card", google.pk), url("add"), url("domains")):
        assert browser.get(address).status_code == 403
    assert browser.post(url("hide", google.pk)).status_code == 403
    assert not HiddenProvider.objects.exists()
    OperationGrant.objects.create(operation=Operation.MANAGE_EMAIL_PROVIDERS, user=alice)
    assert client_of(alice).get(url("list")).status_code == 200


# --- The card ---------------------------------------------------------------------------------------------------


@pytest.mark.proves("C1")
def test_the_card_says_every_field(ada, google):
    text = words(ada.get(url("card", google.pk)))
    for said in (
        "Kind IMAP/SMTP", "imap.gmail.com, port 993, TLS", "smtp.gmail.com, port 465, TLS", "40 seconds",
        "IMAP user name Whole address", "SMTP user name Whole address", "Authentication App password",
        "Status Needs preparation", "Google asks for an app password.", "https://example.com/app-passwords",
        "Connections at the same time 15", "Largest message 25 MB", "Filed by this program", "2 domains",
        "Override for your organization", "Not used by any mailbox",
    ):  # fmt: skip
        assert said in text, said


@pytest.mark.proves("C2")
def test_the_card_of_an_override_shows_what_differs(ada, google, override):
    own = override(google, imap_host="imap.proxy.example", hint="")
    answer = ada.get(url("card", own.pk))
    text = words(answer)
    assert "imap.proxy.example, port 993, TLS Built in: imap.gmail.com, port 993, TLS" in text
    assert "None Built in: Google asks for an app password." in text
    assert "2 lines differ" in text
    assert answer.context["differences"] == 2
    redirected = ada.get(url("card", google.pk))
    assert redirected["Location"] == url("card", own.pk)


def test_back_to_the_built_in_entry(ada, google, override):
    own = override(google, imap_host="imap.proxy.example")
    assert "what your organization changed" in words(ada.get(url("restore", own.pk), headers=HTMX)).lower()
    answer = ada.post(url("restore", own.pk), headers=HTMX)
    assert answer["HX-Redirect"] == url("card", google.pk)
    assert not Provider.objects.exclude(organization=None).exists()
    assert ada.post(url("restore", own.pk), headers=HTMX).status_code == 404  # pressed twice


def test_an_override_is_not_deleted_but_given_back(ada, google, override):
    own = override(google)
    assert ada.post(url("delete", own.pk))["Location"] == url("restore", own.pk)
    assert Provider.objects.filter(pk=own.pk).exists()


def test_hide_and_show_from_the_card(ada, google):
    assert ada.post(url("hide", google.pk))["Location"] == url("card", google.pk)
    text = words(ada.get(url("card", google.pk)))
    assert "Your people are not offered this provider." in text
    ada.post(url("show", google.pk))
    assert not HiddenProvider.objects.exists()
    assert ada.get(url("hide", google.pk)).status_code == 405


def test_rows_of_another_organization_do_not_exist(ada, make_own, other_organization, entry_form):
    theirs = make_own("Theirs", "theirs.example", organization=other_organization)
    logos.keep(theirs, logos.encode(picture()))
    row = theirs.domains.get()
    for name in ("card", "edit", "restore", "delete", "logo"):
        assert ada.get(url(name, theirs.pk)).status_code == 404, name
    for name in ("edit", "restore", "delete", "hide", "show"):
        assert ada.post(url(name, theirs.pk), entry_form).status_code == 404, name
    for name in ("domain-edit", "domain-delete"):
        assert ada.get(url(name, row.pk)).status_code == ada.post(url(name, row.pk)).status_code == 404, name
    assert ada.get(url("card", 10**30)).status_code == 404
    theirs.refresh_from_db()
    assert (theirs.name, theirs.domains.count()) == ("Theirs", 1)


# --- The form ---------------------------------------------------------------------------------------------------


@pytest.mark.proves("C2")
def test_an_own_entry_is_added_with_every_field_and_a_logo(ada, entry_form, organization):
    upload = SimpleUploadedFile("whatever.svg", picture("JPEG"), "image/svg+xml")  # the content decides
    answer = ada.post(
        url("add"),
        entry_form
        | {
            "imap_login": "local_part", "smtp_login": "typed", "smtp_timeout": "90", "authentication": "app_password",
            "status": "needs_preparation", "hint": "Ask the desk\nfor a password.", "often_used": "on",
            "instructions_url": "https://desk.example/mail", "files_sent_mail": "on", "connections": "4",
            "message_size": "30", "imap_host": "IMAP.Bücher.example", "logo": upload,
        },
    )  # fmt: skip
    own = Provider.objects.get(organization=organization)
    assert answer["Location"] == url("card", own.pk)
    assert (own.imap_host, own.imap_login, own.smtp_login) == ("imap.xn--bcher-kva.example", "local_part", "typed")
    assert (own.smtp_timeout, own.hint, own.often_used) == (90, "Ask the desk for a password.", True)
    assert own.limits == {"connections": 4, "message_size": 30 * 1024 * 1024}
    assert (own.files_sent_mail, own.instructions_url, own.kind) == (True, "https://desk.example/mail", "imap_smtp")
    image = ada.get(own.logo_url)
    assert (image["Content-Type"], image["X-Content-Type-Options"]) == ("image/png", "nosniff")
    assert "immutable" in image["Cache-Control"]
    assert image["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert image.content.startswith(b"\x89PNG")
    assert ada.get(own.logo_url, headers={"If-None-Match": image["ETag"]}).status_code == 304
    assert own.logo_url in ada.get(url("card", own.pk)).content.decode()


@pytest.mark.proves("C2")
def test_saving_the_form_of_a_built_in_entry_makes_an_override(ada, google, entry_form, organization):
    assert "What you save here counts for Example Ltd alone" in words(ada.get(url("edit", google.pk)))
    form = entry_form | {"name": "Google (Gmail)", "hint": "Ask the desk.", "status": "needs_preparation"}
    for _ in range(2):  # the second press finds the first one's
        assert ada.post(url("edit", google.pk), form).status_code == 302
    own = Provider.objects.get(organization=organization)
    assert (own.key, own.hint, own.imap_host) == ("google", "Ask the desk.", "imap.northwind.example")
    google.refresh_from_db()
    assert google.hint == "Google asks for an app password."


def test_two_presses_of_add_make_one_entry(ada, entry_form, organization):
    answers = [ada.post(url("add"), entry_form) for _ in range(2)]
    own = Provider.objects.get(organization=organization)
    assert [answer["Location"] for answer in answers] == [url("card", own.pk)] * 2


@pytest.mark.parametrize("key", ["google", "sandbox", "own_1", "own_" + "a" * 17, "x" * 500, "own_\x00", ""])
def test_nobody_chooses_the_key_of_a_new_entry(ada, google, entry_form, organization, key: str):
    ada.post(url("add"), entry_form | {"key": key})
    assert entries.is_new_key(Provider.objects.get(organization=organization).key)


def test_what_is_switched_off_is_not_stored_and_cannot_be_wrong(ada, entry_form, organization):
    del entry_form["receives"]
    ada.post(url("add"), entry_form | {"imap_host": "https://wrong/", "imap_port": "none"})
    own = Provider.objects.get(organization=organization)
    assert (own.imap_host, own.imap_port, own.incoming()) == ("", 993, None)


WRONG = [
    ({"name": ""}, "name", "Give the provider a name"),
    ({"name": "x" * 121}, "name", "120"),
    ({"name": "two\r\nlines"}, "name", "line break"),
    ({"name": "a\x00b"}, "name", "invisible character"),
    ({"name": "google (gmail)"}, "name", "already"),
    ({"imap_host": ""}, "imap_host", "Type the IMAP host"),
    ({"imap_host": "imap.example.com:993"}, "imap_host", "port has its own field"),
    ({"imap_host": "imaps://imap.example.com"}, "imap_host", "without slashes"),
    ({"imap_host": "anna@example.com"}, "imap_host", "email address"),
    ({"imap_host": "a b"}, "imap_host", "no spaces"),
    ({"imap_host": "imap.example.com\r\nX: y"}, "imap_host", "host name"),
    ({"imap_host": "a\x00.example"}, "imap_host", "invisible character"),
    ({"imap_host": "x" * 300}, "imap_host", "253"),
    ({"smtp_host": "-bad-.example"}, "smtp_host", "not a host name"),
    ({"imap_port": "0"}, "imap_port", "1 to 65535"),
    ({"imap_port": "99999999999999999999"}, "imap_port", "1 to 65535"),
    ({"smtp_port": "smtp"}, "smtp_port", "1 to 65535"),
    ({"imap_security": "ssl3"}, "imap_security", ""),
    ({"imap_login": "nobody"}, "imap_login", ""),
    ({"smtp_timeout": "301"}, "smtp_timeout", "1 to 300"),
    ({"smtp_timeout": ""}, "smtp_timeout", "1 to 300"),
    ({"authentication": "magic"}, "authentication", ""),
    ({"status": "not_possible"}, "hint", "why it is not possible"),
    ({"status": "needs_preparation"}, "hint", "have to prepare"),
    ({"hint": "x" * 1001}, "hint", "1000"),
    ({"instructions_url": "javascript:alert(1)"}, "instructions_url", "https://"),
    ({"instructions_url": "http://example.com"}, "instructions_url", "https://"),
    ({"instructions_url": "https://exa mple.com"}, "instructions_url", "https://"),
    ({"instructions_url": "https://example.com/\r\nX: y"}, "instructions_url", "https://"),
    ({"instructions_url": "https://example.com/" + "x" * 500}, "instructions_url", "500"),
    ({"connections": "-1"}, "connections", "1 to 1,000"),
    ({"per_day": "many"}, "per_day", "whole number"),
    ({"message_size": "999999999999"}, "message_size", "10,000"),
    ({"receives": None, "delivers": None}, "receives", "Switch on receiving or sending"),
    ({"kept_logo": "no base64"}, "kept_logo", "Choose it again"),
    ({"kept_logo": base64.b64encode(b"<svg/>").decode()}, "kept_logo", "Choose it again"),
]


@pytest.mark.parametrize(("change", "field", "why"), WRONG, ids=lambda value: repr(value)[:60])
def test_a_wrong_value_is_named_and_nothing_is_stored(ada, google, entry_form, organization, change, field, why):
    form = {name: value for name, value in (entry_form | change).items() if value is not None}
    answer = ada.post(url("add"), form)
    assert answer.status_code == 422
    errors = answer.context["form"].errors
    assert list(errors) == [field]
    assert why in " ".join(errors[field])
    assert not Provider.objects.filter(organization=organization).exists()


@pytest.mark.proves("C2")
@pytest.mark.parametrize(
    "octets",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<!doctype html><script>alert(1)</script>",
        picture() + b"<script>alert(1)</script>",
        b"\x89PNG\r\n\x1a\n" + b"\0" * 40,
        b"x" * (5 * 1024 * 1024),
        b"",
    ],
    ids=["svg", "html", "polyglot", "broken", "huge", "empty"],
)
def test_a_wrong_logo_is_refused_whatever_it_is_called(ada, entry_form, organization, octets: bytes):
    upload = SimpleUploadedFile("logo.png", octets, "image/png")
    answer = ada.post(url("add"), entry_form | {"logo": upload})
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == ["logo"]
    assert not ProviderLogo.objects.exists()
    assert not Provider.objects.filter(organization=organization).exists()


def test_a_logo_that_was_taken_stays_while_another_field_is_corrected(ada, entry_form, organization):
    upload = SimpleUploadedFile("logo.png", picture(), "image/png")
    refused = ada.post(url("add"), entry_form | {"name": "", "logo": upload})
    kept = refused.context["form"].logo_to_keep
    assert f'value="{kept}"' in refused.content.decode()
    ada.post(url("add"), entry_form | {"kept_logo": kept})
    own = Provider.objects.get(organization=organization)
    assert own.logo_digest
    ada.post(url("edit", own.pk), entry_form | {"drops_logo": "on"})
    own.refresh_from_db()
    assert (own.logo_url, ProviderLogo.objects.count()) == ("", 0)
    assert ada.get(url("logo", own.pk)).status_code == 404


def test_a_refused_form_keeps_what_was_typed(ada, make_own, entry_form):
    own = make_own("Northwind")
    answer = ada.post(
        url("edit", own.pk), entry_form | {"name": "Northwind", "imap_port": "x", "hint": "Ask the desk."}
    )
    text = answer.content.decode()
    assert "Ask the desk." in text
    assert 'value="x"' in text
    own.refresh_from_db()
    assert own.hint == ""


def test_what_a_limit_was_stays_exact_where_nobody_changed_it(ada, google, entry_form, organization):
    form = entry_form | {"name": "Google (Gmail)", "connections": "20", "message_size": "25"}
    ada.post(url("edit", google.pk), form)
    assert Provider.objects.get(organization=organization).limits == {"connections": 20, "message_size": 26_000_000}


# --- What people see first --------------------------------------------------------------------------------------


def test_the_preview_says_what_the_wizard_would_say(ada, entry_form):
    hint = entry_form | {"hint": "Ask <b>the desk</b>.", "instructions_url": "javascript:alert(1)"}
    answer = ada.post(url("preview"), hint | {"authentication": "app_password", "smtp_login": "typed"}, headers=HTMX)
    assert "Ask &lt;b&gt;the desk&lt;/b&gt;." in answer.content.decode()
    assert "javascript" not in answer.content.decode()
    assert "asks for the user name and the app password" in words(answer)
    closed = words(
        ada.post(url("preview"), entry_form | {"status": "not_possible", "hint": "No way in."}, headers=HTMX)
    )
    assert "No way in." in closed
    assert "No password is asked for." in closed
    assert ada.post(url("preview"), {"name": "\x00", "imap_port": "x"}, headers=HTMX).status_code == 200


def test_the_preview_knows_the_entry_that_is_edited(ada, google, entry_form):
    answer = ada.post(url("preview"), entry_form | {"key": "google", "name": "Google (Gmail)"}, headers=HTMX)
    assert "Google (Gmail)" in words(answer)
    assert ada.post(url("preview"), {"key": "\x00" * 300, "name": "x"}, headers=HTMX).status_code == 200
