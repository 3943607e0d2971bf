"""Written out, because on SQLite AddField would rewrite the table of messages, which may hold millions of rows."""

from django.db import migrations, models

ADD = (
    "ALTER TABLE delivery_outboxmessage"
    " ADD COLUMN sent_copy_failures smallint NOT NULL DEFAULT 0 CHECK (sent_copy_failures >= 0)"
)
DROP = "ALTER TABLE delivery_outboxmessage DROP COLUMN sent_copy_failures"


class Migration(migrations.Migration):
    dependencies = [("delivery", "0021_what_waits_for_its_way")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(ADD, DROP)],
            state_operations=[
                migrations.AddField(
                    model_name="outboxmessage",
                    name="sent_copy_failures",
                    field=models.PositiveSmallIntegerField(
                        db_default=0, help_text="Filings in a row that the server did not take."
                    ),
                )
            ],
        )
    ]
