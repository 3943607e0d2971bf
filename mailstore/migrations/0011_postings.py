"""PostgreSQL finds the messages of large downloads by a row per word and batch (see mailstore/postings.py).

Such messages have no tsvector, and GIN leaves them out. Postings stand on the disk batch by batch, so that a BRIN index
is enough to remove those of a batch whose last message left.
"""

from django.db import migrations

FORWARDS = [
    """CREATE TABLE mailstore_posting (
           first_message bigint NOT NULL, word text COLLATE "C" NOT NULL, entries smallint[] NOT NULL,
           PRIMARY KEY (word, first_message)
       ) WITH (toast_tuple_target = 8160)""",
    "CREATE INDEX mailstore_posting_batch ON mailstore_posting USING brin (first_message) WITH (pages_per_range = 16)",
    "CREATE TABLE mailstore_postingbatch (first_message bigint PRIMARY KEY, last_message bigint NOT NULL)",
    "ALTER TABLE mailstore_fulltext ALTER COLUMN words DROP NOT NULL",
    "DROP INDEX mailstore_fulltext_words",
    "CREATE INDEX mailstore_fulltext_words ON mailstore_fulltext USING gin (words) WHERE words IS NOT NULL",
    """CREATE OR REPLACE FUNCTION mailstore_fulltext_leaves() RETURNS trigger LANGUAGE plpgsql AS $$
       DECLARE
           over bigint[];
       BEGIN
           DELETE FROM mailstore_fulltext WHERE message_id IN (SELECT id FROM gone);
           WITH touched AS (
               SELECT DISTINCT (
                   SELECT first_message FROM mailstore_postingbatch
                   WHERE first_message <= gone.id ORDER BY first_message DESC LIMIT 1
               ) AS first_message FROM gone
           ), removed AS (
               DELETE FROM mailstore_postingbatch USING touched
               WHERE mailstore_postingbatch.first_message = touched.first_message AND NOT EXISTS (
                   SELECT FROM mailstore_message
                   WHERE id BETWEEN mailstore_postingbatch.first_message AND mailstore_postingbatch.last_message
               )
               RETURNING mailstore_postingbatch.first_message
           )
           SELECT array_agg(first_message) INTO over FROM removed;
           IF over IS NOT NULL THEN
               DELETE FROM mailstore_posting WHERE first_message = ANY(over);
           END IF;
           RETURN NULL;
       END $$""",
]
BACKWARDS = [
    """CREATE OR REPLACE FUNCTION mailstore_fulltext_leaves() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN
           DELETE FROM mailstore_fulltext WHERE message_id IN (SELECT id FROM gone);
           RETURN NULL;
       END $$""",
    r"""UPDATE mailstore_fulltext SET words =
            setweight(to_tsvector('simple', split_part(in_order, E'\n', 1)), 'A')
            || setweight(to_tsvector('simple', split_part(in_order, E'\n', 2)), 'B')
            || setweight(to_tsvector('simple', split_part(in_order, E'\n', 3)), 'C')
            || to_tsvector('simple', split_part(in_order, E'\n', 4))
        WHERE words IS NULL""",
    "DROP INDEX mailstore_fulltext_words",
    "ALTER TABLE mailstore_fulltext ALTER COLUMN words SET NOT NULL",
    "CREATE INDEX mailstore_fulltext_words ON mailstore_fulltext USING gin (words)",
    "DROP TABLE mailstore_postingbatch",
    "DROP TABLE mailstore_posting",
]


def on_postgresql(statements):
    def run(apps, schema_editor):
        if schema_editor.connection.vendor == "postgresql":
            for statement in statements:
                schema_editor.execute(statement)

    return run


class Migration(migrations.Migration):
    dependencies = [("mailstore", "0010_newest_messages")]
    operations = [migrations.RunPython(on_postgresql(FORWARDS), on_postgresql(BACKWARDS))]
