"""`/mailboxes/{id}/signature`: read and set, with images (spec E9, L1)."""

from __future__ import annotations

import hashlib

import pytest

from accounts.models import Mailbox, MailboxGrant, Signature
from accounts.signature import LARGEST_IMAGE, LIMITS, MOST_IMAGES
from organizations.models import AuditEntry
from tests.accounts.settings.pictures import data_address, png
from tests.api.conftest import Api, assert_problem, fields

pytestmark = [pytest.mark.proves("L1", "E9"), pytest.mark.django_db]

SVG = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"


@pytest.fixture
def api(api_of, alice, mailbox) -> Api:
    return api_of(alice)


@pytest.fixture
def path(mailbox) -> str:
    return f"/mailboxes/{mailbox.pk}/signature"


def put(api: Api, path: str, html: object, **values: object):
    return api.call("PUT", path, {"is_on": True, "html": html, **values})


def test_a_mailbox_begins_without_one(api, path):
    assert api.get(path).data == {"is_on": False, "html": "", "text": "", "images": []}


def test_a_signature_keeps_its_images_and_comes_back_as_it_was_kept(api, mailbox, path):
    sha256 = hashlib.sha256(png()).hexdigest()
    kept = put(api, path, f'<p>Alice<br><b>Example</b> <img src="{data_address(png())}" alt="Logo"></p>')
    assert kept.status_code == 200
    assert f'src="cid:{sha256}"' in kept.data["html"]
    assert "Alice" in kept.data["text"]
    assert kept.data["images"] == [{"sha256": sha256, "content_type": "image/png", "size": len(png())}]
    image = api.get(f"{path}/images/{sha256}")
    assert (image.content, image["Content-Type"], image["X-Content-Type-Options"]) == (png(), "image/png", "nosniff")
    again = put(api, path, kept.data["html"])
    assert again.data == kept.data == api.get(path).data
    assert put(api, path, "").data["images"] == []
    assert_problem(api.get(f"{path}/images/{sha256}"), 404, "not-found")
    assert AuditEntry.objects.filter(action="mailbox.signature_changed", object_id=str(mailbox.pk)).count() == 3


@pytest.mark.proves("J4")
def test_what_runs_or_fetches_is_taken_out(api, path):
    hostile = '<p onclick="x()" style="background: url(https://t.example/p)">Hi<script>alert(1)</script></p>'
    kept = put(api, path, hostile + '<a href="javascript:alert(1)">x</a><svg onload="alert(1)"></svg>').data["html"]
    assert "Hi" in kept
    assert not [word for word in ("script", "onclick", "t.example", "svg", "onload") if word in kept]


@pytest.mark.parametrize(
    "html",
    [
        f'<img src="{data_address(SVG, "svg+xml")}">',
        f'<img src="{data_address(b"<html>", "png")}">',
        f'<img src="{data_address(png() + bytes(LARGEST_IMAGE))}">',
        '<img src="data:image/png;base64,%%%">',
        '<img src="https://tracker.example/p.gif">',
        f'<img src="cid:{"0" * 64}">',
        "".join(f'<img src="{data_address(png(colour=bytes((n, 0, 0))))}">' for n in range(MOST_IMAGES + 1)),
        "<p>" + "x" * LIMITS.html + "</p>",
        "<b>" * 7000,
        "a\x00b",
        7,
        None,
    ],
    ids=lambda html: str(html)[:40],
)
def test_what_cannot_be_kept_is_refused_whole(api, mailbox, path, html):
    put(api, path, "<p>Before</p>")
    assert fields(put(api, path, html)) == ["html"]
    assert Signature.objects.get(mailbox=mailbox).html == "<p>Before</p>"


def test_images_of_many_megabytes_arrive_and_more_is_too_large(api, path):
    large = [png(colour=bytes((n, 0, 0))) + bytes(LARGEST_IMAGE - 100) for n in range(2)]
    html = "".join(f'<img src="{data_address(octets)}">' for octets in large)
    assert put(api, path, html).status_code == 200
    assert fields(put(api, path, html + f'<img src="{data_address(png())}" alt="{"x" * 2_000_000}">')) == ["html"]
    assert_problem(put(api, path, "x" * (8 * 1024 * 1024)), 413, "too-large")


def test_who_sends_from_it_sees_it_and_only_who_sets_it_up_changes_it(api, api_of, bob, charlie, mailbox, path):
    put(api, path, "<p>Alice</p>")
    Mailbox.objects.update(is_shared=True)
    grant = MailboxGrant.objects.create(mailbox=mailbox, user=bob, may_access=True)
    his = api_of(bob)
    assert_problem(his.get(path), 404, "not-found")
    grant.may_send = True
    grant.save()
    assert his.get(path).data["html"] == "<p>Alice</p>"
    assert_problem(put(his, path, "<p>Bob</p>"), 403, "forbidden")
    assert_problem(put(api_of(charlie), path, "<p>Charlie</p>"), 404, "not-found")
    assert Signature.objects.get(mailbox=mailbox).html == "<p>Alice</p>"


@pytest.mark.parametrize("name", ["x", "0" * 63, "0" * 65, "%00", "A" * 64, "../../1"])
def test_an_image_has_a_hash_for_a_name(api, path, name):
    assert api.get(f"{path}/images/{name}").status_code in (404, 422)
