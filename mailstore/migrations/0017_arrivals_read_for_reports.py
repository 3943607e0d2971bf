from django.db import migrations, models


class Migration(migrations.Migration):
    """What arrived before counts as read: it is too late to tell anybody of it."""

    dependencies = [
        ('mailstore', '0016_news_of_the_inbox'),
    ]

    operations = [
        migrations.AddField(
            model_name='arrival',
            name='is_read_for_reports',
            field=models.BooleanField(db_default=True),
        ),
        migrations.AlterField(
            model_name='arrival',
            name='is_read_for_reports',
            field=models.BooleanField(db_default=False),
        ),
        migrations.AddIndex(
            model_name='arrival',
            index=models.Index(condition=models.Q(('is_read_for_reports', False)), fields=['id'], name='arrival_to_read'),
        ),
    ]
