"""Octets move into a table of their own: on SQLite what stood behind them in a row was reached through all of them."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("delivery", "0013_drafts")]

    operations = [
        migrations.CreateModel(
            name="OutboxOctets",
            fields=[
                (
                    "message",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="octets",
                        serialize=False,
                        to="delivery.outboxmessage",
                    ),
                ),
                ("raw", models.BinaryField()),
            ],
        ),
        migrations.RunSQL(
            "INSERT INTO delivery_outboxoctets (message_id, raw) SELECT id, raw FROM delivery_outboxmessage",
            "UPDATE delivery_outboxmessage SET raw ="
            " (SELECT o.raw FROM delivery_outboxoctets o WHERE o.message_id = delivery_outboxmessage.id)",
        ),
    ]
