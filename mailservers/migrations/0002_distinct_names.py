from django.db import migrations


def tell_namesakes_apart(apps, schema_editor):
    """The first keeps the name, the others get a number: "Office", "Office (2)"."""
    servers = apps.get_model("mailservers", "MailServer").objects
    taken: set[tuple[int, str]] = set()
    for server in servers.order_by("organization_id", "pk").only("pk", "organization_id", "name"):
        name, number = server.name, 1
        while (server.organization_id, name.casefold()) in taken:
            number += 1
            name = f"{server.name[:110]} ({number})"
        taken.add((server.organization_id, name.casefold()))
        if name != server.name:
            servers.filter(pk=server.pk).update(name=name)


class Migration(migrations.Migration):
    dependencies = [("mailservers", "0001_initial")]

    operations = [migrations.RunPython(tell_namesakes_apart, migrations.RunPython.noop)]
