"""The triggers that carry the words of outgoing mail into the index of SQLite, whoever writes or deletes a row.

SQLite drops them with the table when a migration rebuilds it, as most that change a column do; so they are looked after
at the end of each `migrate`. PostgreSQL has the index on the row itself and needs none.
"""

from __future__ import annotations

from typing import Final

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate

TRIGGERS: Final = (
    """CREATE TRIGGER IF NOT EXISTS delivery_outboxwords_come AFTER INSERT ON delivery_outboxmessage BEGIN
           INSERT INTO delivery_outboxwords (rowid, subject_words, recipient_words)
           VALUES (new.id, new.subject_words, new.recipient_words);
       END""",
    """CREATE TRIGGER IF NOT EXISTS delivery_outboxwords_leave AFTER DELETE ON delivery_outboxmessage BEGIN
           INSERT INTO delivery_outboxwords (delivery_outboxwords, rowid, subject_words, recipient_words)
           VALUES ('delete', old.id, old.subject_words, old.recipient_words);
       END""",
    """CREATE TRIGGER IF NOT EXISTS delivery_outboxwords_change
       AFTER UPDATE OF subject_words, recipient_words ON delivery_outboxmessage BEGIN
           INSERT INTO delivery_outboxwords (delivery_outboxwords, rowid, subject_words, recipient_words)
           VALUES ('delete', old.id, old.subject_words, old.recipient_words);
           INSERT INTO delivery_outboxwords (rowid, subject_words, recipient_words)
           VALUES (new.id, new.subject_words, new.recipient_words);
       END""",
)


def keep(sender: AppConfig, *, using: str, **_: object) -> None:
    """Make the triggers that are missing."""
    connection = connections[using]
    if connection.vendor != "sqlite" or "delivery_outboxwords" not in connection.introspection.table_names():
        return
    with connection.cursor() as cursor:
        for trigger in TRIGGERS:
            cursor.execute(trigger)


def listen(app: AppConfig) -> None:
    post_migrate.connect(keep, sender=app)
