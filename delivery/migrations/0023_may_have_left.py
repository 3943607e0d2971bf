"""Whether a recipient that was queued again may have got the mail before.

The column may be empty and has no default, so that neither engine rewrites the table: its triggers stay (0020).
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("delivery", "0022_failed_filings")]

    operations = [
        migrations.AddField(
            model_name="outboxrecipient",
            name="may_have_left_in",
            field=models.PositiveBigIntegerField(blank=True, null=True),
        )
    ]
