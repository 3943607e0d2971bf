"""Whether a mailbox sends again by itself what nobody knows to be sent."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0007_message_language'),
    ]

    operations = [
        migrations.AddField(
            model_name='mailbox',
            name='retries_uncertain',
            field=models.BooleanField(default=False, verbose_name='Send again when it is not known whether it was sent'),
        ),
    ]
