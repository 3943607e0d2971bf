"""The database itself refuses a state that leads nowhere it knows: the moves of delivery/states.py, on either engine.

On SQLite a migration that rewrites the table of recipients loses its triggers and has to make them again.
"""

from django.db import migrations

MOVES = {
    "queued": ("sending", "cancelled", "uncertain"),
    "sending": ("sent", "failed", "uncertain", "queued"),
    "uncertain": ("sent", "queued", "bounced"),
    "failed": ("queued",),
    "sent": ("bounced",),
    "bounced": ("queued",),
}
KNOWN = "'queued', 'sending', 'sent', 'failed', 'uncertain', 'cancelled', 'bounced'"
PAIRS = ", ".join(f"'{origin} {to}'" for origin, following in MOVES.items() for to in following)
IS_OTHER = f"OLD.state <> NEW.state AND OLD.state || ' ' || NEW.state NOT IN ({PAIRS})"
IS_UNKNOWN = f"NEW.state NOT IN ({KNOWN})"

SQLITE = [
    f"""CREATE TRIGGER recipient_moves_as_known BEFORE UPDATE OF state ON delivery_outboxrecipient
        WHEN {IS_OTHER} BEGIN SELECT RAISE(ABORT, 'recipient_moves_as_known'); END""",
    f"""CREATE TRIGGER recipient_begins_as_known BEFORE INSERT ON delivery_outboxrecipient
        WHEN {IS_UNKNOWN} BEGIN SELECT RAISE(ABORT, 'recipient_begins_as_known'); END""",
]
SQLITE_BACK = ["DROP TRIGGER recipient_moves_as_known", "DROP TRIGGER recipient_begins_as_known"]
POSTGRESQL = [
    """CREATE FUNCTION delivery_refuse_state() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN
           RAISE EXCEPTION 'recipient % cannot become %', NEW.id, NEW.state
               USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
       END $$""",
    f"""CREATE TRIGGER recipient_moves_as_known BEFORE UPDATE OF state ON delivery_outboxrecipient
        FOR EACH ROW WHEN ({IS_OTHER}) EXECUTE FUNCTION delivery_refuse_state()""",
    f"""CREATE TRIGGER recipient_begins_as_known BEFORE INSERT ON delivery_outboxrecipient
        FOR EACH ROW WHEN ({IS_UNKNOWN}) EXECUTE FUNCTION delivery_refuse_state()""",
]
POSTGRESQL_BACK = [
    "DROP TRIGGER recipient_moves_as_known ON delivery_outboxrecipient",
    "DROP TRIGGER recipient_begins_as_known ON delivery_outboxrecipient",
    "DROP FUNCTION delivery_refuse_state",
]


def run(sqlite, postgresql):
    def statements(apps, schema_editor):
        for statement in postgresql if schema_editor.connection.vendor == "postgresql" else sqlite:
            schema_editor.execute(statement, params=None)

    return statements


class Migration(migrations.Migration):
    dependencies = [("delivery", "0019_files_of_drafts")]

    operations = [migrations.RunPython(run(SQLITE, POSTGRESQL), run(SQLITE_BACK, POSTGRESQL_BACK))]
