"""What was seen while looking for a message whose outcome is not known, and when to look next."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('delivery', '0007_typed_and_scheduled'),
    ]

    operations = [
        migrations.CreateModel(
            name='Look',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('result', models.CharField(choices=[('sent', 'It was sent'), ('unclear', 'Found, but not for whom'), ('nothing', 'Nothing found'), ('prevented', 'Could not look everywhere')], max_length=10)),
                ('findings', models.JSONField(default=list)),
                ('verdict', models.CharField(max_length=500)),
                ('settled', models.PositiveIntegerField(default=0)),
                ('message', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='looks', to='delivery.outboxmessage')),
            ],
            options={
                'ordering': ['pk'],
            },
        ),
        migrations.AddField(
            model_name='outboxrecipient',
            name='look_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='outboxrecipient',
            name='was_retried_uncertain',
            field=models.BooleanField(default=False),
        ),
        migrations.AddIndex(
            model_name='outboxrecipient',
            index=models.Index(condition=models.Q(('state', 'uncertain')), fields=['look_at'], name='recipient_to_look_for'),
        ),
    ]
