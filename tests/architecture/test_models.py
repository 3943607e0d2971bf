"""What every table keeps to."""

from __future__ import annotations

import re

import pytest
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import models

from organizations.sealing import SealedField
from tests.architecture.tree import pyproject

OUR_APPS = [config for config in apps.get_app_configs() if config.path.startswith(str(settings.BASE_DIR / config.name))]
OUR_MODELS = [model for config in OUR_APPS for model in config.get_models()]
SECRET = re.compile(r"(?:^|_)(?:password|secret|token|passphrase|credential)s?(?:_|$)")

#: Columns named like a secret that hold none, or only its hash.
HARMLESS = {
    "organizations.User.password",
    "organizations.SetupLink.token_hash",
    "organizations.AddressChange.token_hash",
    "organizations.Invitation.token_hash",
    "organizations.ApiToken.token_hash",
    "accounts.TokenMailbox.token",  # names the row
}


def test_no_migration_is_missing(db, capsys):
    try:
        call_command("makemigrations", check_changes=True, dry_run=True, verbosity=1)
    except SystemExit:
        pytest.fail(capsys.readouterr().out, pytrace=False)


@pytest.mark.parametrize("model", OUR_MODELS, ids=lambda model: model._meta.label)
def test_constraints_are_named_in_words(model):
    assert not model._meta.unique_together, "a UniqueConstraint has a name that the error message shows"
    for constraint in model._meta.constraints:
        assert re.fullmatch(r"[a-z0-9]+(?:_[a-z0-9]+)+", constraint.name), constraint.name
        assert len(constraint.name) <= 63, f"{constraint.name}: PostgreSQL cuts names after 63 octets"


def test_no_two_constraints_or_indexes_share_a_name():
    names = [each.name for model in OUR_MODELS for each in [*model._meta.constraints, *model._meta.indexes]]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("model", OUR_MODELS, ids=lambda model: model._meta.label)
def test_a_row_introduces_itself(model):
    assert model.__str__ is not models.Model.__str__


@pytest.mark.proves("B6", "J1")
def test_every_secret_column_is_sealed():
    loose = [
        f"{model._meta.label}.{field.name}"
        for model in OUR_MODELS
        for field in model._meta.get_fields()
        if isinstance(field, models.Field) and SECRET.search(field.name) and not isinstance(field, SealedField)
    ]
    assert set(loose) <= HARMLESS


def test_the_import_contracts_cover_every_app():
    contracts = pyproject()["tool"]["importlinter"]
    layers = {name.strip("()") for name in contracts["contracts"][0]["layers"]}
    assert {config.name for config in OUR_APPS} <= set(contracts["root_packages"])
    assert {config.name for config in OUR_APPS} <= layers
