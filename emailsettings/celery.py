"""The Celery application. Tasks carry primary keys only; the rows are the truth."""

import os

from celery import Celery
from celery.signals import worker_process_init, worker_shutting_down

from emailsettings.lifeline import die_with_parent
from organizations import stopping

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailsettings.settings")
app = Celery("emailsettings", task_cls="organizations.generations:GuardedTask")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_process_init.connect
def tie_pool_process_to_its_worker(**_: object) -> None:
    """A worker that is killed leaves no pool process behind that would go on with a task."""
    die_with_parent()


@worker_shutting_down.connect
def let_long_work_be_handed_back(**_: object) -> None:
    """A worker that is told to end waits for its tasks; a download of an hour would be killed after the grace."""
    stopping.ask()
