"""What has to be in the database before the first page: catalog, rules, and somebody who administers."""

from __future__ import annotations

import os

from django.core.management import call_command

from organizations import setup


def load_data(*, sandbox: bool = False) -> None:
    """Load what the product ships with. `EMAILSETTINGS_ADMIN_EMAIL` and `_PASSWORD` make the first administrator."""
    call_command("load_catalog", verbosity=0, sandbox=sandbox)
    call_command("load_rules", verbosity=0)
    email, password = (os.environ.get(f"EMAILSETTINGS_ADMIN_{name}", "") for name in ("EMAIL", "PASSWORD"))
    if email and password and not setup.is_set_up():
        setup.create_first_administrator(email, password)
