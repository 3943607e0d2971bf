"""Tasks are thin and named; they carry primary keys and nothing else."""

from __future__ import annotations

import inspect

import pytest
from django.conf import settings
from django.utils.module_loading import autodiscover_modules

from emailsettings.celery import app

autodiscover_modules("tasks")
TASKS = {name: task for name, task in app.tasks.items() if not name.startswith("celery.")}


@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_task_is_named_after_its_app_and_takes_keys_only(name):
    task = TASKS[name]
    assert name.split(".")[0] == task.run.__module__.split(".")[0]
    annotations = {parameter.annotation for parameter in inspect.signature(task.run).parameters.values()}
    assert annotations <= {"int", int}, "a task argument is kept in the broker: give it the primary key"


@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_task_keeps_no_result(name):
    assert TASKS[name].ignore_result or settings.CELERY_TASK_IGNORE_RESULT


def test_every_scheduled_task_exists():
    assert {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()} <= set(TASKS)


def test_messages_between_the_parts_are_json():
    assert settings.CELERY_ACCEPT_CONTENT == [settings.CELERY_TASK_SERIALIZER] == ["json"]
    assert settings.SESSION_SERIALIZER == "django.contrib.sessions.serializers.JSONSerializer"
