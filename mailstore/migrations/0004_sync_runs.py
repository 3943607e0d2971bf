

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0001_initial'),
        ('mailstore', '0003_words_in_order'),
    ]

    operations = [
        migrations.CreateModel(
            name='SyncRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('started_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField()),
                ('came_through', models.BooleanField()),
                ('arrived', models.PositiveIntegerField(default=0, help_text='New messages.')),
                ('words', models.CharField(help_text='How it ended.', max_length=300)),
                ('count', models.PositiveIntegerField(default=1)),
                ('mailbox', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='sync_runs', to='accounts.mailbox')),
            ],
            options={
                'ordering': ['-ended_at', '-pk'],
                'indexes': [models.Index(fields=['mailbox', '-ended_at', '-id'], name='sync_run_newest_first')],
            },
        ),
    ]
