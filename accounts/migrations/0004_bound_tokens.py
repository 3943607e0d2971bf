import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_keep_what_was_shared'),
        ('organizations', '0003_api_tokens'),
    ]

    operations = [
        migrations.CreateModel(
            name='TokenMailbox',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('mailbox', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.mailbox')),
                ('token', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='bindings', to='organizations.apitoken')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('token', 'mailbox'), name='one_binding_per_token_and_mailbox')],
            },
        ),
    ]
