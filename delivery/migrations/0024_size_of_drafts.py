from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("delivery", "0023_may_have_left")]

    operations = [
        migrations.AddField(model_name="saveddraft", name="size", field=models.PositiveIntegerField(default=0)),
    ]
