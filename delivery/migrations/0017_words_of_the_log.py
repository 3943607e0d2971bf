"""The words of what is there, and the index over them, in the form of each engine (see delivery/log_words.py)."""

import re
import unicodedata

from django.db import migrations

SQLITE = [
    """CREATE VIRTUAL TABLE delivery_outboxwords USING fts5 (
           subject_words, recipient_words, content = 'delivery_outboxmessage', content_rowid = 'id',
           tokenize = 'ascii', detail = 'column', columnsize = 0
       )""",
    "CREATE VIRTUAL TABLE delivery_outboxterms USING fts5vocab ('delivery_outboxwords', 'instance')",
    "INSERT INTO delivery_outboxwords (delivery_outboxwords) VALUES ('rebuild')",
]
SQLITE_BACK = [
    "DROP TRIGGER IF EXISTS delivery_outboxwords_come",
    "DROP TRIGGER IF EXISTS delivery_outboxwords_leave",
    "DROP TRIGGER IF EXISTS delivery_outboxwords_change",
    "DROP TABLE delivery_outboxterms",
    "DROP TABLE delivery_outboxwords",
]
POSTGRESQL = [
    """CREATE INDEX delivery_outboxwords ON delivery_outboxmessage USING gin (
           array_to_tsvector(array_remove(string_to_array(subject_words || recipient_words, ' '), ''))
       ) WITH (gin_pending_list_limit = 512)""",
]
POSTGRESQL_BACK = ["DROP INDEX delivery_outboxwords"]

LONGEST = 100  # characters of a word
NOT_A_WORD = re.compile(r"[\W_]+")
BATCH = 1000


def line(*texts):
    folded = (NOT_A_WORD.sub(" ", without_marks(text.lower())).split() for text in texts)
    return " " + " \n ".join(" ".join(word[:LONGEST] for word in words) for words in folded) + " "


def without_marks(text):
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


def fill(apps, schema_editor):
    messages = apps.get_model("delivery", "OutboxMessage").objects.using(schema_editor.connection.alias)
    recipients = apps.get_model("delivery", "OutboxRecipient").objects.using(schema_editor.connection.alias)
    last = 0
    while rows := list(messages.filter(pk__gt=last).order_by("pk").only("subject", "to_header")[:BATCH]):
        blind = {}
        for pk, address in recipients.filter(message__in=rows, kind="bcc").values_list("message_id", "address"):
            blind.setdefault(pk, []).append(address)
        for row in rows:
            row.subject_words = line(row.subject)
            row.recipient_words = line(*row.to_header.split(", "), *blind.get(row.pk, ()))
        messages.bulk_update(rows, ["subject_words", "recipient_words"])
        last = rows[-1].pk


def run(sqlite, postgresql):
    def statements(apps, schema_editor):
        for statement in postgresql if schema_editor.connection.vendor == "postgresql" else sqlite:
            schema_editor.execute(statement)

    return statements


class Migration(migrations.Migration):
    dependencies = [("delivery", "0016_lists_of_the_log")]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.RunPython(run(SQLITE, POSTGRESQL), run(SQLITE_BACK, POSTGRESQL_BACK)),
    ]
