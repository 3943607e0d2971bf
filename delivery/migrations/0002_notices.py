from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('delivery', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='outboxmessage',
            name='origin',
            field=models.CharField(choices=[('person', 'A person'), ('notice', 'The system, to tell somebody something')], default='person', max_length=10),
        ),
        migrations.AddConstraint(
            model_name='outboxmessage',
            constraint=models.UniqueConstraint(condition=models.Q(('origin', 'notice')), fields=('submission_key',), name='one_notice_mail_per_submission'),
        ),
    ]
