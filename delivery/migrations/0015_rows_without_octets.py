"""They have been copied; in a step of its own, since PostgreSQL changes no table in the transaction that filled another."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("delivery", "0014_octets_of_their_own")]

    operations = [migrations.RemoveField(model_name="outboxmessage", name="raw")]
