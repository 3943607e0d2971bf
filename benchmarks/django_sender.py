"""Django's `send_messages` and django-post_office: `PYTHON benchmarks/django_sender.py KIND PORT OCTETS SEED FOLDER`.

KIND is "django" or "post_office". Runs in whatever environment has them, without anything of ours. Reads a number of
mails from each line of its standard input, makes them ready, sends them over one connection, and answers with one line
of JSON: seconds by the clock and of the processor for the sending alone.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from time import perf_counter, process_time
from typing import Any

import django
from django.conf import settings

Sending = Callable[[], None]


def main(kind: str, port: str, octets: str, seed: str, folder: str) -> None:
    _configure(kind, int(port), f"{folder}/post_office.sqlite3")
    text = random.Random(int(seed)).choices("abcdefghij klmnopqrst uvwxyz", k=int(octets))
    body = "\n".join("".join(text[start : start + 70]) for start in range(0, int(octets), 70))
    prepare = _through_post_office if kind == "post_office" else _through_django
    for line in sys.stdin:
        send = prepare(int(line), body)
        began, used = perf_counter(), process_time()
        send()
        print(json.dumps({"seconds": perf_counter() - began, "processor": process_time() - used}), flush=True)


def _configure(kind: str, port: int, database: str) -> None:
    """One process, one thread and the same SQLite settings as ours, for whoever stores mails."""
    backend = "django.core.mail.backends.smtp.EmailBackend"
    pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
    options: dict[str, Any] = {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": pragmas}
    settings.configure(
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=port,
        EMAIL_BACKEND=backend,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database, "OPTIONS": options}},
        INSTALLED_APPS=["django.contrib.contenttypes", *(["post_office"] if kind == "post_office" else [])],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        POST_OFFICE={"BACKENDS": {"default": backend}, "BATCH_SIZE": 10_000, "THREADS_PER_PROCESS": 1},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
    )
    django.setup()
    if kind == "post_office":
        from django.core.management import call_command

        call_command("migrate", verbosity=0)


def _through_django(number: int, body: str) -> Sending:
    from django.core.mail import EmailMessage, get_connection

    mails = [
        EmailMessage(f"Benchmark {place}", body, "sender@example.org", [f"person{place}@example.org"])
        for place in range(number)
    ]

    def send() -> None:
        assert get_connection().send_messages(mails) == number

    return send


def _through_post_office(number: int, body: str) -> Sending:
    from post_office import mail  # type: ignore[import-not-found]
    from post_office.models import STATUS, Email  # type: ignore[import-not-found]

    Email.objects.all().delete()
    mail.send_many(
        [
            {
                "sender": "sender@example.org",
                "recipients": [f"person{place}@example.org"],
                "subject": f"Benchmark {place}",
                "message": body,
            }
            for place in range(number)
        ]
    )

    def send() -> None:
        while Email.objects.filter(status=STATUS.queued).exists():
            mail.send_queued(processes=1)
        assert Email.objects.filter(status=STATUS.sent).count() == number

    return send


if __name__ == "__main__":
    main(*sys.argv[1:])
