"""What has to be in the database before the first page: catalog, rules, and somebody who administers."""

from __future__ import annotations

from django.core.management import call_command
from environ import FileAwareEnv

from organizations import setup


def load_data(*, sandbox: bool = False) -> None:
    """Load what the product ships with. `EMAILSETTINGS_ADMIN_EMAIL` and `_PASSWORD` make the first administrator."""
    call_command("load_catalog", verbosity=0, sandbox=sandbox)
    call_command("load_rules", verbosity=0)
    env = FileAwareEnv()
    email, password = (env.str(f"EMAILSETTINGS_ADMIN_{name}", default="").strip() for name in ("EMAIL", "PASSWORD"))
    if email and password and not setup.is_set_up():
        setup.create_first_administrator(email, password)
