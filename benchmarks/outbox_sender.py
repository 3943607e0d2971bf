"""Our own outbox in a process of its own: `python -m benchmarks.outbox_sender PORT OCTETS SEED`.

Reads lines of JSON from its standard input and answers each with one line:
{"do": "send", "number": N}     queues N mails as rows, then runs the very task of a worker until none is left;
{"do": "enqueue", "number": N}  queues N mails through the API, one request for each;
{"do": "open", "number": 1}     tells what opens the API to others: token, mailbox and the text of a mail.
The answer to the first two has seconds by the clock and of the processor, and how many statements the database got for
each mail. The database is the one of DATABASE_URL and is migrated first.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import timedelta
from time import perf_counter, process_time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailsettings.settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts import tokens  # noqa: E402
from accounts.models import Mailbox  # noqa: E402
from delivery.models import OutboxMessage, OutboxRecipient, Route  # noqa: E402
from delivery.states import State  # noqa: E402
from delivery.tasks import submit_route  # noqa: E402
from organizations.models import Organization, User  # noqa: E402
from organizations.scopes import Scope  # noqa: E402
from protocols.credentials import Secret  # noqa: E402


class World:
    """One organization with one person, whose mailbox sends through the sink."""

    def __init__(self, port: int, octets: int, seed: int) -> None:
        self.organization = Organization.objects.create(name="Benchmark")
        self.author = User.objects.create_user(
            "sender@example.org", "a long password", organization=self.organization, name="Sender", time_zone="UTC"
        )
        self.mailbox = Mailbox(
            organization=self.organization,
            owner=self.author,
            address="sender@example.org",
            display_name="Sender",
            smtp_host="127.0.0.1",
            smtp_port=port,
            smtp_security="none",
            appends_sent=False,
        )
        self.mailbox.password = Secret("of no worth")
        self.mailbox.save()
        text = random.Random(seed).choices("abcdefghij klmnopqrst uvwxyz", k=octets)
        self.text = "\n".join("".join(text[start : start + 70]) for start in range(0, octets, 70))
        scopes, now = [Scope.OUTBOX_SEND], timezone.now()
        _, token = tokens.issue_token(self.author, "Benchmark", scopes, now=now, expires_at=None)
        self.token = token
        self.client = Client(HTTP_HOST="localhost", HTTP_AUTHORIZATION=f"Bearer {token}")
        self.places = itertools.count()

    def queue(self, number: int) -> Callable[[], None]:
        """Rows of `number` mails; what is returned sends them."""
        now = timezone.now()
        messages = OutboxMessage.objects.bulk_create([self._message() for _ in range(number)])
        moments = {"state_at": now, "not_before": now, "expires_at": now + timedelta(hours=48)}
        OutboxRecipient.objects.bulk_create(
            OutboxRecipient(message=message, address=f"person{place}@example.org", **moments)
            for place, message in enumerate(messages)
        )
        route = Route.objects.leading(self.mailbox)

        def send() -> None:
            while OutboxRecipient.objects.filter(state=State.QUEUED).exists():
                submit_route(route.pk)
            assert not OutboxRecipient.objects.exclude(state=State.SENT).exists()

        return send

    def enqueue(self, number: int) -> Callable[[], None]:
        bodies = [
            {
                "mailbox": self.mailbox.pk,
                "to": [{"name": "Person", "address": f"person{place}@example.org"}],
                "subject": f"Benchmark {place}",
                "text": self.text,
            }
            for place in range(number)
        ]

        def ask() -> None:
            for body in bodies:
                key = f"key-{next(self.places)}"
                answer = self.client.post(
                    "/api/v1/outbox", body, content_type="application/json", headers={"Idempotency-Key": key}
                )
                assert answer.status_code == 201, answer.content

        return ask

    def _message(self) -> OutboxMessage:
        place = next(self.places)
        head = (
            f"From: Sender <sender@example.org>\r\nTo: person{place}@example.org\r\nSubject: Benchmark {place}\r\n"
            f"Message-ID: <{place}@example.org>\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
            "Content-Type: text/plain; charset=utf-8\r\n\r\n"
        )
        raw = (head + self.text.replace("\n", "\r\n") + "\r\n").encode()
        message = OutboxMessage(
            organization=self.organization,
            mailbox=self.mailbox,
            author=self.author,
            submission_key=f"row-{place}",
            sender="sender@example.org",
            from_header="Sender <sender@example.org>",
            to_header=f"person{place}@example.org",
            subject=f"Benchmark {place}",
            message_id=f"{place}@example.org",
            size=len(raw),
            created_at=timezone.now(),
        )
        message.raw = raw
        return message


def main(port: str, octets: str, seed: str) -> None:
    call_command("migrate", verbosity=0)
    world = World(int(port), int(octets), int(seed))
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "open":
            opening = {"token": world.token, "mailbox": world.mailbox.pk, "text": world.text}
            print(json.dumps(opening), flush=True)
            continue
        number, count = order["number"], itertools.count()
        work = world.queue(number) if order["do"] == "send" else world.enqueue(number)

        def counted(execute: Callable[..., object], *rest: object, count: Iterator[int] = count) -> object:
            next(count)
            return execute(*rest)

        began, used = perf_counter(), process_time()
        with connection.execute_wrapper(counted) if order.get("counts") else nullcontext():
            work()
        answer = {"seconds": perf_counter() - began, "processor": process_time() - used}
        print(json.dumps(answer | {"statements": next(count) / number}), flush=True)
        OutboxMessage.objects.all().delete()


if __name__ == "__main__":
    main(*sys.argv[1:])
