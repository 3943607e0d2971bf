

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0004_bound_tokens'),
        ('organizations', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Signature',
            fields=[
                ('mailbox', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='signature', serialize=False, to='accounts.mailbox')),
                ('is_on', models.BooleanField(default=False, verbose_name='Add signatures to outbound emails')),
                ('html', models.TextField(blank=True)),
            ],
        ),
        migrations.CreateModel(
            name='DefaultSender',
            fields=[
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='default_sender', serialize=False, to=settings.AUTH_USER_MODEL)),
                ('mailbox', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='default_senders', to='accounts.mailbox')),
            ],
        ),
        migrations.CreateModel(
            name='SignatureImage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sha256', models.CharField(max_length=64)),
                ('content_type', models.CharField(max_length=20)),
                ('size', models.PositiveIntegerField(help_text='Octets.')),
                ('content', models.BinaryField()),
                ('mailbox', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='signature_images', to='accounts.mailbox')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('mailbox', 'sha256'), name='one_signature_image_per_content')],
            },
        ),
    ]
