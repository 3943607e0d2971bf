"""Django's `send_messages` and django-post_office: `PYTHON benchmarks/django_sender.py KIND PORT OCTETS SEED FOLDER`.

Runs in whatever environment has them, without anything of ours. Reads a number of mails from each line of its standard
input, makes them ready, sends them, and answers with one line of JSON: seconds by the clock and of the processor for
the sending alone. KIND is one of

django                `send_messages`, which writes nothing down
post_office           its queue emptied at its best: all in one batch, over one connection, outcomes written at the end
post_office_as_shipped  the same with the settings it comes with: batches of 100, five threads with a connection each
post_office_now       `mail.send(priority="now")` for each: the outcome of each is written before the next, as ours is
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
    _configure(kind, int(port), f"{folder}/{kind}.sqlite3")
    text = random.Random(int(seed)).choices("abcdefghij klmnopqrst uvwxyz", k=int(octets))
    body = "\n".join("".join(text[start : start + 70]) for start in range(0, int(octets), 70))
    ways = {"django": _through_django, "post_office_now": _through_post_office_now}
    prepare = ways.get(kind, _through_post_office)
    for line in sys.stdin:
        send = prepare(int(line), body)
        began, used = perf_counter(), process_time()
        send()
        print(json.dumps({"seconds": perf_counter() - began, "processor": process_time() - used}), flush=True)


def _configure(kind: str, port: int, database: str) -> None:
    """One process and the same SQLite settings as ours, for whoever stores mails."""
    backend = "django.core.mail.backends.smtp.EmailBackend"
    pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
    options: dict[str, Any] = {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": pragmas}
    queue = "post_office" in kind
    at_its_best = {"BATCH_SIZE": 10_000, "THREADS_PER_PROCESS": 1} if kind == "post_office" else {}
    settings.configure(
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=port,
        EMAIL_BACKEND=backend,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database, "OPTIONS": options}},
        INSTALLED_APPS=["django.contrib.contenttypes", *(["post_office"] if queue else [])],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
        POST_OFFICE={"BACKENDS": {"default": backend}, **at_its_best},
        LOGGING={"version": 1, "loggers": {"post_office": {"level": "WARNING"}}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
    )
    django.setup()
    if queue:
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


def _through_post_office_now(number: int, body: str) -> Sending:
    from post_office import mail

    def send() -> None:
        for place in range(number):
            mail.send(
                f"person{place}@example.org",
                "sender@example.org",
                subject=f"Benchmark {place}",
                message=body,
                priority="now",
            )

    return send


if __name__ == "__main__":
    main(*sys.argv[1:])
