#!/usr/bin/env python3
"""Run administrative tasks."""

import os
import sys

try:
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
except ModuleNotFoundError:
    installed = os.path.join(os.path.dirname(os.path.abspath(__file__)), ".venv", "bin", "python")  # by ./run
    if not os.path.exists(installed) or os.path.abspath(sys.executable) == installed:
        raise
    os.execv(installed, [installed, *sys.argv])  # noqa: S606  no shell is wanted

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailsettings.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as exc:
        sys.exit(f"manage.py: {exc}")
