"""Mail that programs asked for is known by its key; until now it counted as a person's."""

from django.db import migrations


def tell_programs_apart(apps, schema_editor):
    messages = apps.get_model("delivery", "OutboxMessage").objects.using(schema_editor.connection.alias)
    messages.filter(origin="person", submission_key__startswith="api:").update(origin="api", priority=2)


class Migration(migrations.Migration):
    dependencies = [("delivery", "0004_priority_schedule_undo")]
    operations = [migrations.RunPython(tell_programs_apart, migrations.RunPython.noop)]
