"""PostgreSQL keeps the words of a message in order beside the tsvector, which no longer says where they stand.

A line per field, each word between single spaces. Rows written before get theirs from the positions in the tsvector.
Rows of up to 8 kB, which is nearly all, stay in the table uncompressed: compressing them cost as much as writing them.
"""

from django.db import migrations

ADD = "ALTER TABLE mailstore_fulltext ADD COLUMN in_order text NOT NULL DEFAULT ''"
KEEP_WHOLE = "ALTER TABLE mailstore_fulltext SET (toast_tuple_target = 8160)"
FILL = r"""
    UPDATE mailstore_fulltext SET in_order = (
        SELECT concat_ws(
            E'\n',
            ' ' || coalesce(string_agg(lexeme, ' ' ORDER BY place) FILTER (WHERE weight = 'A'), '') || ' ',
            ' ' || coalesce(string_agg(lexeme, ' ' ORDER BY place) FILTER (WHERE weight = 'B'), '') || ' ',
            ' ' || coalesce(string_agg(lexeme, ' ' ORDER BY place) FILTER (WHERE weight = 'C'), '') || ' ',
            ' ' || coalesce(string_agg(lexeme, ' ' ORDER BY place) FILTER (WHERE weight = 'D'), '') || ' '
        )
        FROM unnest(words) AS word (lexeme, places, weights),
            unnest(word.places, word.weights) AS placed (place, weight)
    ) WHERE words <> ''
"""
DROP = "ALTER TABLE mailstore_fulltext DROP COLUMN in_order"
SHRINK_AGAIN = "ALTER TABLE mailstore_fulltext RESET (toast_tuple_target)"


def on_postgresql(*statements):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            for statement in statements:
                schema_editor.execute(statement)

    return run


class Migration(migrations.Migration):
    dependencies = [("mailstore", "0002_fulltext")]
    operations = [migrations.RunPython(on_postgresql(ADD, KEEP_WHOLE, FILL), on_postgresql(SHRINK_AGAIN, DROP))]
