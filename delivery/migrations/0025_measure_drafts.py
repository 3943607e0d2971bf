"""Drafts from before they were measured count as well, as they would if they were saved again."""

import json

from django.db import migrations


def measure(apps, schema_editor):
    drafts = apps.get_model("delivery", "SavedDraft").objects.using(schema_editor.connection.alias)
    for pk in list(drafts.filter(size=0).values_list("pk", flat=True)):
        draft = drafts.only("fields").get(pk=pk)
        drafts.filter(pk=pk).update(size=len(json.dumps(draft.fields)))


class Migration(migrations.Migration):
    dependencies = [("delivery", "0024_size_of_drafts")]

    operations = [migrations.RunPython(measure, migrations.RunPython.noop, elidable=True)]
