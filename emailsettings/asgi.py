"""The ASGI application that granian serves."""

import os

from django.core.asgi import get_asgi_application

from emailsettings.lifeline import die_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailsettings.settings")
if "EMAILSETTINGS_PARENT" in os.environ:  # granian's own worker process, a grandchild of `manage.py up`
    die_with_parent()
django_application = get_asgi_application()

from emailsettings.body_limits import limit_bodies  # noqa: E402  wants the apps loaded

application = limit_bodies(django_application)
