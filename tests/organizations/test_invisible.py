"""Names show all that is in them; text of others turns nothing around it (threat T28)."""

from __future__ import annotations

import pytest
from django.template import Context, Template
from django.urls import reverse

from accounts.models import Mailbox
from mailservers.models import MailServer
from mailstore.models import Folder
from organizations.invisible import invisible_in, undirected
from organizations.models import ApiToken, Invitation, Role
from providers.models import Provider
from tests.mailstore.panel.conftest import deliver, mail_with_files

__all__ = ["deliver"]
pytestmark = pytest.mark.proves("T28")

TURNED = "pay\u202egnp.exe"


@pytest.mark.parametrize(
    "name",
    [
        "Anna\u202e",
        "\u202aAnna",
        "An\u2066na\u2069",
        "Anna\u200e",
        "\u200fAnna",
        "\u061cAnna",
        "An\u200bna",
        "\ufeffAnna",
        "An\u2060na",
        "An\u00adna",
        "An\u200dna",
        "An\u200cna",
        "Anna\u200d",
        "\u200dAnna",
        "\u3164",
        "Anna\U000e0041",
    ],
    ids=ascii,
)
def test_what_nobody_sees_is_found(name):
    assert invisible_in(name)


@pytest.mark.parametrize(
    "name",
    [
        "Anna Müller-Łukasz",
        "O\u2019Neill & Söhne (Nord)",
        "دانیال محمدی",
        "نیک\u200cخواه",  # Persian is written with the non-joiner
        "क्\u200dष",  # and Hindi with the joiner
        "דנה כהן",
        "山田 太郎",
        "👩\u200d👩\u200d👧 Familie",
        "🧑🏽\u200d🚀",
        "❤️\u200d🔥",
    ],
    ids=ascii,
)
def test_names_of_all_languages_are_left_alone(name):
    assert invisible_in(name) == ""


@pytest.mark.parametrize(
    ("route", "field", "values", "model"),
    [
        ("organizations:invite", "name", {"email": "n@example.org"}, Invitation),
        ("organizations:create-role", "name", {}, Role),
        ("mailservers:create", "name", {"host": "smtp.example.org", "port": "587", "security": "starttls"}, MailServer),
        ("providers:add", "name", {}, Provider),
        ("accounts:create", "display_name", {"address": "n@example.org"}, Mailbox),
        ("accounts:tokens", "name", {"scopes": ["mail:read"]}, ApiToken),
    ],
    ids=lambda value: value if isinstance(value, str) and ":" in value else "",
)
def test_no_name_is_saved_with_them(client_of, administrator, route, field, values, model):
    MailServer.objects.create(organization=administrator.organization, name="Office", host="smtp.example.org")
    before = model.objects.count()
    answer = client_of(administrator).post(reverse(route), {**values, field: TURNED})
    assert answer.status_code == 422
    assert "has an invisible character in it" in answer.content.decode()
    assert model.objects.count() == before


def test_a_profile_keeps_its_name(client_of, alice):
    answer = client_of(alice).post("/profile", {"name": TURNED, "language": "en", "time_zone": "UTC"})
    assert "“Name” has an invisible character in it" in answer.content.decode()
    alice.refresh_from_db()
    assert alice.name == "Alice"


def test_a_search_and_the_subject_of_a_mail_may_have_them(client_of, administrator):
    assert "invisible" not in client_of(administrator).get("/people/", {"q": "דנה\u200f"}).content.decode()


def test_text_of_others_is_shown_without_its_power_and_escaped():
    shown = Template("{% load direction %}{{ text|undirected }}").render(Context({"text": f"<b>{TURNED}"}))
    assert shown == "&lt;b&gt;pay\ufffdgnp.exe"
    assert undirected("דנה") == "דנה"


def test_mail_data_stands_isolated_in_the_panel(client_of, alice, mailbox, deliver):
    message = deliver(mailbox, mail_with_files(Subject=f"Re {TURNED}", From=f'"{TURNED}" <a@example.org>'))
    Folder.objects.filter(pk=message.folder_id).update(name=f"Sent{TURNED}", special_use="")
    for url in (
        reverse("mailstore:folder", args=[message.folder_id]),
        reverse("mailstore:conversation", args=[message.conversation_id]),
    ):
        page = client_of(alice).get(url).content.decode()
        assert not set("\u202e\u202d\u2066\u2067") & set(page)
        assert "<bdi>Sentpay\ufffdgnp.exe</bdi>" in page
        assert "<bdi>Re pay" in page
