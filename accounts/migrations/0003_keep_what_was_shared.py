from django.db import migrations
from django.db.models import Exists, OuterRef, Q


def share_what_was_shared(apps, schema_editor):
    """Grants counted without a switch so far: whatever has one, or belongs to the organization, stays shared."""
    Mailbox = apps.get_model("accounts", "Mailbox")
    MailboxGrant = apps.get_model("accounts", "MailboxGrant")
    granted = Exists(MailboxGrant.objects.filter(mailbox=OuterRef("pk")))
    Mailbox.objects.filter(Q(owner=None) | Q(granted)).update(is_shared=True)


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_shared_access'),
    ]

    operations = [
        migrations.RunPython(share_what_was_shared, migrations.RunPython.noop),
    ]
