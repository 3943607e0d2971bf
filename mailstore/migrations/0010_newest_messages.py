"""Lists of messages by time walk along an index: over all mailboxes that a person may read, and of one."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("mailstore", "0009_hosts_and_holders")]

    operations = [
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                condition=models.Q(("vanished_at", None)),
                fields=["-received_at", "-id", "mailbox"],
                name="message_newest_first",
            ),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                condition=models.Q(("vanished_at", None)),
                fields=["mailbox", "-received_at", "-id"],
                name="message_newest_of_mailbox",
            ),
        ),
    ]
