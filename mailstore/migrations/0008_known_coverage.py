from django.db import migrations
from django.db.models import F


def forget_how_far_back(apps, schema_editor):
    """Nobody knows it of folders from before: the next sync asks for what is missing of the chosen period, once."""
    apps.get_model("mailstore", "Folder").objects.exclude(synced_at=None).update(covers_from=F("synced_at"))


class Migration(migrations.Migration):
    dependencies = [("mailstore", "0007_folder_coverage")]

    operations = [migrations.RunPython(forget_how_far_back, migrations.RunPython.noop)]
