"""SQLite gathers the words of a whole batch before it writes a segment of the index, in at most 8 MB of memory."""

from django.db import migrations

OCTETS = 8 * 1024 * 1024
AT_FIRST = 1024 * 1024  # FTS5's own


def gather(octets):
    def statements(apps, schema_editor):
        if schema_editor.connection.vendor == "sqlite":
            schema_editor.execute(
                "INSERT INTO mailstore_fulltext (mailstore_fulltext, rank) VALUES ('hashsize', %s)", [octets]
            )

    return statements


class Migration(migrations.Migration):
    dependencies = [("mailstore", "0004_sync_runs")]

    operations = [migrations.RunPython(gather(OCTETS), gather(AT_FIRST))]
