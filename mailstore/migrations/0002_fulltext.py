"""The full-text index, in the form of each engine (see mailstore/fulltext.py)."""

from django.db import migrations

SQLITE = [
    """CREATE VIRTUAL TABLE mailstore_fulltext USING fts5 (
           subject, sender, recipients, text, tokenize = 'unicode61 remove_diacritics 2'
       )""",
    """CREATE TRIGGER mailstore_fulltext_leaves AFTER DELETE ON mailstore_message BEGIN
           DELETE FROM mailstore_fulltext WHERE rowid = old.id;
       END""",
]
SQLITE_BACK = ["DROP TRIGGER mailstore_fulltext_leaves", "DROP TABLE mailstore_fulltext"]

POSTGRESQL = [
    "CREATE TABLE mailstore_fulltext (message_id bigint PRIMARY KEY, words tsvector NOT NULL)",
    "CREATE INDEX mailstore_fulltext_words ON mailstore_fulltext USING gin (words)",
    """CREATE FUNCTION mailstore_fulltext_leaves() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN
           DELETE FROM mailstore_fulltext WHERE message_id IN (SELECT id FROM gone);
           RETURN NULL;
       END $$""",
    """CREATE TRIGGER mailstore_fulltext_leaves AFTER DELETE ON mailstore_message
           REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION mailstore_fulltext_leaves()""",
]
POSTGRESQL_BACK = [
    "DROP TRIGGER mailstore_fulltext_leaves ON mailstore_message",
    "DROP FUNCTION mailstore_fulltext_leaves()",
    "DROP TABLE mailstore_fulltext",
]


def run(sqlite, postgresql):
    def statements(apps, schema_editor):
        for statement in postgresql if schema_editor.connection.vendor == "postgresql" else sqlite:
            schema_editor.execute(statement)

    return statements


class Migration(migrations.Migration):
    dependencies = [("mailstore", "0001_initial")]
    operations = [migrations.RunPython(run(SQLITE, POSTGRESQL), run(SQLITE_BACK, POSTGRESQL_BACK))]
