"""Written out, because on SQLite AddField would rewrite the table of recipients: minutes for millions of rows, and its
triggers would be gone (0020)."""

from django.db import migrations, models

ADD = "ALTER TABLE delivery_outboxrecipient ADD COLUMN waits_for_way bool NOT NULL DEFAULT false"
DROP = "ALTER TABLE delivery_outboxrecipient DROP COLUMN waits_for_way"


class Migration(migrations.Migration):
    dependencies = [("delivery", "0020_no_other_moves")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(ADD, DROP)],
            state_operations=[
                migrations.AddField(
                    model_name="outboxrecipient", name="waits_for_way", field=models.BooleanField(db_default=False)
                )
            ],
        )
    ]
