"""A log of millions of messages, written past the product as fast as the database takes it, and asked through it."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from datetime import timedelta
from time import perf_counter, process_time
from typing import TypeVar
from urllib.parse import urlencode

from django.core.management import call_command
from django.db import connection, models, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import Mailbox, MailboxGrant
from benchmarks.asking import ask, milliseconds
from benchmarks.log_times import LIMIT, Times
from delivery import log_index, log_words
from delivery.models import OutboxMessage, OutboxRecipient
from delivery.outbox import enqueue
from delivery.states import Kind
from organizations.models import OperationGrant, Organization, User
from organizations.operations import Operation

BATCH = 250_000
# How many lots there are of each kind: primes, so that each is drawn independently of the others.
SUBJECTS, ADDRESSES, BOXES, WRITERS, DRAWN_STATES, DRAWN_ORIGINS = 99_991, 199_999, 1009, 1013, 9973, 997
MAILBOXES, READABLE = 200, 12
PEOPLE = 300
WORDS = 30_000
STATES = {"sent": 9500, "failed": 220, "bounced": 200, "cancelled": 60, "queued": 10, "uncertain": 10}  # of 10,000
ORIGINS = {"person": 55, "api": 42, "notice": 3}
SYLLABLES = ["ka", "lo", "mi", "ren", "ta", "vo", "sel", "dur", "ni", "pa", "gor", "es", "tu", "bel", "han", "ri"]
COMMON = "offer"  # in the subject of every other message
DOMAIN = "example"  # in the address of every other recipient
QUEUED = 200  # mails that are queued for the cost of queueing
MESSAGES, RECIPIENTS = OutboxMessage._meta.db_table, OutboxRecipient._meta.db_table

Row = TypeVar("Row")


def measure(rounds: int, seed: int, rows: int) -> dict[str, Times]:
    """Fill what is not filled yet, then time: every page once per round, in turn."""
    call_command("migrate", verbosity=0)
    world = World(seed, rows)
    pages = world.pages()
    times: dict[str, Times] = {}
    for name, (client, url) in pages.items():
        with CaptureQueriesContext(connection) as captured:
            ask(client, url)
        times[name] = {"ms": [], "processor": [], "queries": len(captured)}
    for _ in range(rounds):
        for name, (client, url) in pages.items():
            _add(times[name], *milliseconds(client, url))
    return times | _queueing(world)


class World:
    def __init__(self, seed: int, rows: int) -> None:
        self.chance = random.Random(seed)
        self.words = ["".join(self.chance.choices(SYLLABLES, k=self.chance.randint(2, 4))) for _ in range(WORDS)]
        self.rows = rows
        self.now = timezone.now()
        if not OutboxMessage.objects.exists():
            self._people()
        self.organization = Organization.objects.get(name="Benchmark")
        self.mailboxes = list(Mailbox.objects.filter(organization=self.organization).order_by("pk"))
        self.people = list(User.objects.filter(organization=self.organization).order_by("pk"))
        if not OutboxMessage.objects.exists():
            self._fill()
        self.reader, self.viewer = (_client_of(User.objects.get(email=f"{name}@example.org")) for name in ("p0", "all"))

    def pages(self) -> dict[str, tuple[Client, str]]:
        """Name -> who asks, and for what."""
        newest = OutboxMessage.objects.order_by("-pk").first()
        assert newest is not None
        deep = OutboxMessage.objects.get(pk=newest.pk - self.rows * 9 // 10)
        month = {"since": (self.now - timedelta(days=400)).date(), "until": (self.now - timedelta(days=370)).date()}
        large, small = self.mailboxes[0].pk, self.mailboxes[-1].pk
        known = OutboxRecipient.objects.get(message=self.rows // 3).address
        rare = known.partition("@")[0].rpartition(".")[2]  # of a name: one of 30,000
        searches: dict[str, dict[str, object]] = {
            "all": {},
            "failed": {"state": "failed"},
            "possibly sent": {"state": "uncertain"},
            "sent": {"state": "sent"},
            "a large mailbox": {"mailbox": large},
            "a small mailbox": {"mailbox": small},
            "a small mailbox, failed": {"mailbox": small, "state": "failed"},
            "a large mailbox, failed": {"mailbox": large, "state": "failed"},
            "notices": {"origin": "notice"},
            "notices that failed": {"origin": "notice", "state": "failed"},
            "one author": {"author": self.people[0].pk},
            "a month": month,
            "a month, possibly sent": {**month, "state": "uncertain"},
            "common word": {"q": COMMON},
            "rare word": {"q": rare},
            "two common words": {"q": f"{COMMON} {DOMAIN}"},
            "common and rare word": {"q": f"{COMMON} {rare}"},
            "beginning of common words": {"q": "exam"},
            "beginning of many words": {"q": SYLLABLES[0] + SYLLABLES[3]},
            "common word, failed, a month": {"q": COMMON, "state": "failed", **month},
            "common word, a small mailbox": {"q": COMMON, "mailbox": small},
            "common word, one author": {"q": COMMON, "author": self.people[0].pk},
            "recipient": {"recipient": known},
            "domain of many": {"recipient": f"{DOMAIN}.com"},
            "domain of many, notices that failed": {"recipient": DOMAIN, "origin": "notice", "state": "failed"},
            "a word that nothing has": {"q": "zzzyzzx"},
        }
        pages = {LIMIT: (self.reader, reverse("account_logout"))}
        log = reverse("delivery:email-log")
        place = f"{int(deep.created_at.timestamp() * 1_000_000)}-{deep.pk}"
        for name, query in searches.items():
            for who, client in (("some mailboxes", self.reader), ("all mail", self.viewer)):
                pages[f"{who}: {name}"] = client, f"{log}?{urlencode(query)}"
                pages[f"{who}: {name}, deep"] = client, f"{log}?{urlencode({**query, 'after': place})}"
        return pages

    def _people(self) -> None:
        self.organization = Organization.objects.create(name="Benchmark")
        people = [
            User.objects.create(organization=self.organization, email=f"p{number}@example.org", name=f"Person {number}")
            for number in range(PEOPLE)
        ]
        viewer = User.objects.create(organization=self.organization, email="all@example.org", name="Viewer")
        OperationGrant.objects.create(operation=Operation.VIEW_EMAIL_LOGS, user=viewer)
        for number in range(MAILBOXES):
            mailbox = Mailbox.objects.create(
                organization=self.organization,
                owner=people[1 + number % (PEOPLE - 1)],
                address=f"box{number}@example.org",
                display_name=f"Box {number}",
                imap_host="imap.example.org",
                smtp_host="smtp.example.org",
                is_shared=True,
            )
            if number % (MAILBOXES // READABLE) == 7:
                MailboxGrant.objects.create(mailbox=mailbox, user=people[0], may_access=True)

    def _fill(self) -> None:
        """Without indexes and triggers, which are made once all is there."""
        began = perf_counter()
        self._draw()
        with _without_indexes():
            for first in range(1, self.rows + 1, BATCH):
                last = min(first + BATCH - 1, self.rows)
                with transaction.atomic(), connection.cursor() as cursor:
                    for table, row in ((MESSAGES, self._message()), (RECIPIENTS, self._recipient())):
                        cursor.execute(_insertion(table, row), [first, last])
                _tell(f"{last:,} rows after {perf_counter() - began:.0f} s")
        _tell(f"indexes after {perf_counter() - began:.0f} s")

    def _draw(self) -> None:
        """Lots to draw from, in tables: what a row gets is told by its key modulo the prime number of lots."""
        chance = self.chance
        subjects = [self._subject() for _ in range(SUBJECTS)]
        addresses = [self._address() for _ in range(ADDRESSES)]
        lots: dict[str, list[tuple[object, ...]]] = {
            "subjects": [(number, text, log_words.line(text)) for number, text in enumerate(subjects)],
            "addresses": [(number, text, log_words.recipient_line(text)) for number, text in enumerate(addresses)],
            "boxes": [
                (number, box.pk, box.address)
                for number, box in enumerate(self._some(self.mailboxes) for _ in range(BOXES))
            ],
            "writers": [(number, self._some(self.people).pk, "") for number in range(WRITERS)],
            "states": [(number, chance.choice(_drawn(STATES)), "") for number in range(DRAWN_STATES)],
            "origins": [(number, chance.choice(_drawn(ORIGINS)), "") for number in range(DRAWN_ORIGINS)],
        }
        with connection.cursor() as cursor:
            for name, rows in lots.items():
                kind = "bigint" if name in ("boxes", "writers") else "text"
                cursor.execute(f"CREATE TEMPORARY TABLE {name} (id bigint PRIMARY KEY, value {kind}, more text)")
                cursor.executemany(f"INSERT INTO {name} VALUES (%s, %s, %s)", rows)

    def _subject(self) -> str:
        topic = [COMMON] if self.chance.random() < 0.5 else []
        return " ".join([*topic, *(self.words[int(WORDS ** self.chance.random()) - 1] for _ in range(4))])

    def _address(self) -> str:
        chance = self.chance
        name = f"{self.words[int(WORDS ** chance.random()) - 1]}.{self.words[chance.randrange(WORDS)]}"
        domain = f"{DOMAIN}.com" if chance.random() < 0.5 else f"{self.words[chance.randrange(2000)]}.org"
        return f"{name}@{domain}"

    def _some(self, rows: Sequence[Row]) -> Row:
        """One of them; the first are drawn far more often."""
        return rows[int(len(rows) ** self.chance.random()) - 1]

    def _message(self) -> dict[str, str]:
        """Columns of the row number `n`, as expressions: two years of mail, most of it of a few mailboxes."""
        return _defaults(OutboxMessage) | {
            "id": "n",
            "organization_id": str(self.organization.pk),
            "mailbox_id": _lot("boxes", BOXES, 6007),
            "author_id": _lot("writers", WRITERS, 7001),
            "origin": _lot("origins", DRAWN_ORIGINS, 3001),
            "submission_key": "CAST(n AS varchar(20))",
            "content_digest": "''",
            "sender": _lot("boxes", BOXES, 6007, "more"),
            "from_header": _lot("boxes", BOXES, 6007, "more"),
            "to_header": _lot("addresses", ADDRESSES, 48271),
            "subject": _lot("subjects", SUBJECTS, 69621),
            "subject_words": _lot("subjects", SUBJECTS, 69621, "more"),
            "recipient_words": _lot("addresses", ADDRESSES, 48271, "more"),
            "message_id": "CAST(n AS varchar(20)) || '.benchmark@example.org'",
            "size": "4000",
            "created_at": self._moment(),
            "sent_copy": "'not_wanted'",
        }

    def _recipient(self) -> dict[str, str]:
        moment = self._moment()
        return _defaults(OutboxRecipient) | {
            "id": "n",
            "message_id": "n",
            "address": _lot("addresses", ADDRESSES, 48271),
            "kind": "'to'",
            "state": _lot("states", DRAWN_STATES, 16807),
            "state_at": moment,
            "not_before": moment,
            "expires_at": moment,
        }

    def _moment(self) -> str:
        seconds, began = 730 * 86_400 / self.rows, self.now - timedelta(days=730)
        if connection.vendor == "postgresql":
            return f"timestamptz '{began.isoformat()}' + n * interval '{seconds:.9f} seconds'"
        return f"strftime('%%Y-%%m-%%d %%H:%%M:%%f', {began.timestamp():.3f} + n * {seconds:.9f}, 'unixepoch')"


def _lot(name: str, number: int, step: int, column: str = "value") -> str:
    return f"(SELECT {column} FROM {name} WHERE {name}.id = n * {step} %% {number})"


def _defaults(model: type[models.Model]) -> dict[str, str]:
    """What a row has where nothing is said, as SQL."""
    columns = {}
    for field in model._meta.concrete_fields:
        value = None if field.null or field.primary_key else field.get_prep_value(field.get_default())
        quoted = f"'{value}'" if isinstance(value, str) else str(value)
        columns[field.column] = "NULL" if value is None else quoted
    return columns


def _insertion(table: str, row: dict[str, str]) -> str:
    numbers = "WITH RECURSIVE numbers(n) AS (SELECT %s UNION ALL SELECT n + 1 FROM numbers WHERE n < %s)"
    if connection.vendor == "postgresql":
        numbers = "WITH numbers AS (SELECT generate_series(%s::bigint, %s::bigint) AS n)"
    columns = ", ".join(f'"{column}"' for column in row)
    return f"INSERT INTO {table} ({columns}) {numbers} SELECT {', '.join(row.values())} FROM numbers"


class _without_indexes:  # noqa: N801
    """Takes the indexes of the two tables away, and makes them again."""

    def __enter__(self) -> None:
        with connection.schema_editor() as editor:
            for model in (OutboxMessage, OutboxRecipient):
                for index in model._meta.indexes:
                    editor.remove_index(model, index)
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                for name in ("come", "leave", "change"):
                    cursor.execute(f"DROP TRIGGER delivery_outboxwords_{name}")
            else:
                cursor.execute("DROP INDEX delivery_outboxwords")

    def __exit__(self, *_: object) -> None:
        with connection.schema_editor() as editor:
            for model in (OutboxMessage, OutboxRecipient):
                for index in model._meta.indexes:
                    editor.add_index(model, index)
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.execute("INSERT INTO delivery_outboxwords (delivery_outboxwords) VALUES ('rebuild')")
                for trigger in log_index.TRIGGERS:
                    cursor.execute(trigger)
            else:
                vector = log_words.VECTOR.format("")
                cursor.execute(f"CREATE INDEX delivery_outboxwords ON {MESSAGES} USING gin (({vector}))")
                for table in (MESSAGES, RECIPIENTS):
                    cursor.execute(
                        f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT MAX(id) FROM {table}))"
                    )
            cursor.execute("ANALYZE" if connection.vendor == "postgresql" else "PRAGMA optimize")


def _queueing(world: World) -> dict[str, Times]:
    """A mail from the form to its rows, with the words and their index and, on SQLite, without.

    One after the other: a trigger that comes or goes has every statement of the connection read anew.
    """
    times = {"queue a mail": _queued(world, "queue a mail")}
    if connection.vendor == "sqlite":
        name = "queue a mail, without the index of words"
        with connection.cursor() as cursor:
            cursor.execute("DROP TRIGGER delivery_outboxwords_come")
        times[name] = _queued(world, name)
        with connection.cursor() as cursor:
            cursor.execute(log_index.TRIGGERS[0])
    return times


def _queued(world: World, name: str) -> Times:
    times: Times = {"ms": [], "processor": [], "queries": 0}
    for number in range(QUEUED):
        message, recipients = world_mail(world, f"{name} {number} {perf_counter()}")
        began, used = perf_counter(), process_time()
        enqueue(message, recipients, timezone.now())
        _add(times, (perf_counter() - began) * 1000, (process_time() - used) * 1000)
    return times


def world_mail(world: World, key: str) -> tuple[OutboxMessage, list[tuple[str, str]]]:
    mailbox, subject, address = world.mailboxes[0], f"{COMMON} of today", world._address()
    message = OutboxMessage(
        organization=world.organization, mailbox=mailbox, author=world.people[0], submission_key=key[-64:],
        sender=mailbox.address, from_header=mailbox.address, to_header=address, subject=subject,
        message_id=f"{abs(hash(key))}@example.org", size=4000,
    )  # fmt: skip
    message.raw = b"Subject: Hello\r\n\r\n" + b"x" * 4000
    return message, [(address, Kind.TO)]


def _stored(moment: object) -> object:
    return connection.ops.adapt_datetimefield_value(moment)


def _drawn(weights: dict[str, int]) -> list[str]:
    return [name for name, weight in weights.items() for _ in range(weight)]


def _client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def _add(times: Times, wall: float, processor: float) -> None:
    times["ms"].append(wall)
    times["processor"].append(processor)


def _tell(words: str) -> None:
    print(words, file=sys.stderr)
