"""No form of ours says “This field is required.”: each sentence names the field and what to do."""

from __future__ import annotations

import inspect
import pkgutil
import re
from importlib import import_module

import pytest
from allauth.account.forms import UserForm
from django import forms
from django.core import validators
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils.datastructures import MultiValueDict

from accounts.models import Mailbox
from mailstore.models import Folder
from organizations.models import User
from providers.models import Provider
from tests.architecture.test_models import OUR_APPS


def _our_forms() -> list[type[forms.BaseForm]]:
    """Every form class that is defined in one of our apps."""
    found = set()
    for config in OUR_APPS:
        for module in pkgutil.walk_packages(config.module.__path__, f"{config.name}."):
            if ".migrations" not in module.name:
                found |= {
                    thing
                    for thing in vars(import_module(module.name)).values()
                    if inspect.isclass(thing) and issubclass(thing, forms.BaseForm) and thing.__module__ == module.name
                }
    return sorted(
        (form for form in found if getattr(form, "base_fields", None)),
        key=lambda form: f"{form.__module__}.{form.__name__}",
    )


def _default_messages() -> list[re.Pattern[str]]:
    """What Django says by itself, about fields and by validators, with anything where a value is filled in."""
    fields = [*vars(forms.fields).values(), *vars(forms.models).values()]
    messages = {
        str(message)
        for kind in fields
        if inspect.isclass(kind) and issubclass(kind, forms.Field)
        for message in getattr(kind, "default_error_messages", {}).values()
    }
    messages |= {str(kind.message) for kind in vars(validators).values() if hasattr(kind, "message")}
    messages |= {"Ensure this value has at most 9 characters (it has 10).", "Null characters are not allowed."}
    return [re.compile(re.sub(r"%\\\((\w+)\\\)[sd]|\d+", ".*", re.escape(text))) for text in messages if text]


DEFAULTS = _default_messages()
WRONG = ["", "x" * 200_000, "\0", "not-a-date", "-99999999999999999999", "99999999999999999999", "2999-01-01"]


@pytest.fixture
def make(administrator, mailbox, rf):
    """`make(Form, data)`: a bound form, given whatever its `__init__` asks for."""
    request = rf.get("/")
    request.user = administrator
    known = {
        "user": administrator,
        "organization": administrator.organization,
        "mailboxes": [mailbox],
        "mailbox": mailbox,
        "folder": Folder(mailbox=mailbox),
        "request": request,
        "now": None,
        "person": administrator,
        "email": "invited@example.org",
    }

    entry = Provider(organization=administrator.organization)
    rows = {Mailbox: mailbox, User: administrator, Provider: entry}

    def build(kind: type[forms.BaseForm], value: str) -> forms.BaseForm:
        wanted = {
            name
            for ancestor in kind.__mro__
            if not ancestor.__module__.startswith(("django.", "allauth.")) and "__init__" in vars(ancestor)
            for name, parameter in inspect.signature(ancestor.__init__).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty
        }
        data = MultiValueDict({name: [value] for name in kind.base_fields} if value else {})
        files = MultiValueDict({name: [SimpleUploadedFile("x", b"")] for name in kind.base_fields} if value else {})
        options = {name: known[name] for name in wanted}
        if issubclass(kind, forms.BaseModelForm):
            options["instance"] = rows.get(kind._meta.model)
        if issubclass(kind, UserForm):
            return kind(administrator, data, files, **options)
        return kind(data, files, **options)

    return build


@pytest.mark.parametrize("kind", _our_forms(), ids=lambda form: f"{form.__module__}.{form.__name__}")
def test_no_form_uses_the_sentences_of_django(kind, make):
    """The cure is `class YourForm(PlainWords, forms.Form)`, from organizations.plain_words."""
    for value in WRONG:
        for field, sentences in make(kind, value).errors.items():
            said = [text for text in sentences if any(default.fullmatch(text) for default in DEFAULTS)]
            assert not said, f"{field}, given {value[:20]!r}, says: {said}"


def test_the_sentences_of_django_are_recognised():
    class Plain(forms.Form):
        day = forms.DateField()
        name = forms.CharField(max_length=3)
        number = forms.IntegerField(min_value=3)
        one = forms.ChoiceField(choices=[("a", "A")])

    wrong = Plain({"day": "x", "name": "abcd", "number": "2", "one": "b"})
    for form in (Plain({}), wrong):
        assert len(form.errors) == 4
        for sentences in form.errors.values():
            assert all(any(default.fullmatch(text) for default in DEFAULTS) for text in sentences), sentences
