"""Columns and indexes that the log is searched by; see `delivery/log_keys.py`."""


import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0007_message_language'),
        ('delivery', '0015_rows_without_octets'),
        ('mailstore', '0019_conversations_by_subject'),
        ('organizations', '0005_new_addresses'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='outboxmessage',
            name='recipient_words',
            field=models.TextField(default='', editable=False, help_text='Those of all recipients, blind ones too.'),
        ),
        migrations.AddField(
            model_name='outboxmessage',
            name='subject_words',
            field=models.TextField(default='', editable=False, help_text='What the log is searched by.'),
        ),
        migrations.AlterField(
            model_name='outboxmessage',
            name='author',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='outbox_messages', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name='outboxmessage',
            name='mailbox',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='outbox_messages', to='accounts.mailbox'),
        ),
        migrations.AlterField(
            model_name='outboxmessage',
            name='organization',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='outbox_messages', to='organizations.organization'),
        ),
        migrations.AddIndex(
            model_name='outboxmessage',
            index=models.Index(fields=['organization', 'id'], name='log_of_organization'),
        ),
        migrations.AddIndex(
            model_name='outboxmessage',
            index=models.Index(fields=['organization', 'origin', 'id'], name='log_of_origin'),
        ),
        migrations.AddIndex(
            model_name='outboxmessage',
            index=models.Index(fields=['mailbox', 'id'], name='log_of_mailbox'),
        ),
        migrations.AddIndex(
            model_name='outboxmessage',
            index=models.Index(fields=['author', 'id'], name='log_of_author'),
        ),
        migrations.AddIndex(
            model_name='outboxrecipient',
            index=models.Index(condition=models.Q(('state', 'sent'), _negated=True), fields=['state', 'message'], name='log_of_state'),
        ),
    ]
