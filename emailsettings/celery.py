"""The Celery application. Tasks carry primary keys only; the rows are the truth."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailsettings.settings")
app = Celery("emailsettings")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
