"""The ASGI application that granian serves."""

import os

import django

from emailsettings.lifeline import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailsettings.settings")
if "EMAILSETTINGS_PARENT" in os.environ:  # granian's own worker process, a grandchild of `manage.py up`
    die_with_parent()
django.setup(set_prefix=False)

from emailsettings.body_limits import limit_bodies  # noqa: E402  wants the apps loaded
from emailsettings.threads import OneThreadHandler, on_kept_threads  # noqa: E402

application = on_kept_threads(limit_bodies(OneThreadHandler()))
