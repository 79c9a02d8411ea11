"""What is searched: a document for each task, comment and name of an attachment, kept by the database.

Triggers keep them in the transaction of the change, whoever makes it, so that what was written is found at once. They
write as the owner: requests only read. A document shows nothing by itself; what a caller may see is decided by the task
that it is joined to, since under row-level security no index of words could be used.
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "What is made again is replaced, or there already.",
    "require-concurrent-index-creation": "The table that they are on is made here, and empty.",
}

# Anybody who may make schemas in the database may make it, too: it is trusted since PostgreSQL 13.
EXTENSION = """
    DO $$
    BEGIN
        CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA tasks;
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('search needs the extension pg_trgm, which is not there, and which %s may not make',
                current_user),
            HINT = format('an administrator has to run in the database %I: CREATE EXTENSION pg_trgm WITH SCHEMA tasks;',
                current_database());
    END $$
"""
# `project_id` is the task's, to find what is in a project; `title` is a task's title, or what an attachment is called.
# `version` is that of an attachment's last event: what is deleted leaves a row without a title.
TABLE = """
    CREATE TABLE IF NOT EXISTS tasks.search_document (
        id uuid CONSTRAINT pk_search_document PRIMARY KEY,
        kind varchar(16) NOT NULL
            CONSTRAINT ck_search_document_kind CHECK (kind IN ('task', 'comment', 'attachment')),
        project_id uuid NOT NULL,
        task_id uuid NOT NULL
            CONSTRAINT fk_search_document_task_id_task REFERENCES tasks.task (id) ON DELETE CASCADE,
        title varchar(500),
        version integer,
        vector tsvector NOT NULL
    )
"""
INDEXES = (
    "CREATE INDEX IF NOT EXISTS ix_search_document_task_id ON tasks.search_document (task_id)",
    "CREATE INDEX IF NOT EXISTS ix_search_document_project_id ON tasks.search_document (project_id, task_id)",
    "ALTER TABLE tasks.search_document ALTER COLUMN vector SET STATISTICS 300",
    "GRANT SELECT ON tasks.search_document TO tasks_caller",
)
FIXED = "SET search_path = pg_catalog, pg_temp"
FUNCTIONS = (
    # `tasks-service search-language` puts another one in its place.
    """
    CREATE OR REPLACE FUNCTION tasks.search_language() RETURNS regconfig LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT 'pg_catalog.english'::regconfig $$
    """,
    # Words as they are, and by their stems. Without its brackets nothing is taken for a tag, which would be left out.
    """
    CREATE OR REPLACE FUNCTION tasks.search_vector(words text, weight "char") RETURNS tsvector
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
        SELECT setweight(to_tsvector('pg_catalog.simple', bare) || to_tsvector(tasks.search_language(), bare), weight)
        FROM (SELECT translate(left(coalesce(words, ''), 20000), '<>', '  ') AS bare) AS cut
    $$
    """,
    """
    CREATE OR REPLACE FUNCTION tasks.search_vector_of_task(title text, description text) RETURNS tsvector
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT tasks.search_vector(title, 'A') || tasks.search_vector(description, 'B') $$
    """,
    # The words of a file's name are also those between its dots and dashes.
    """
    CREATE OR REPLACE FUNCTION tasks.search_vector_of_name(name text) RETURNS tsvector
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT tasks.search_vector(name || ' ' || translate(name, '._-/', '    '), 'D') $$
    """,
    # In words as they are, the last one also as the beginning of one unless it is very short; or by their stems.
    r"""
    CREATE OR REPLACE FUNCTION tasks.search_query(q text) RETURNS tsquery LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
        SELECT CASE WHEN stems::text = plain::text THEN words ELSE words || stems END
        FROM (
            SELECT plain, websearch_to_tsquery(tasks.search_language(), bare) AS stems, CASE
                WHEN bare ~ '([[\:alnum\:]]{3}|[^[\:ascii\:]])$' AND bare !~ '(^|\s)-\S*$' AND bare !~* '\sor$'
                    AND right(plain::text, 1) = $q$'$q$ THEN (plain::text || '\:*')::tsquery
                ELSE plain
            END AS words
            FROM (
                SELECT bare, websearch_to_tsquery('pg_catalog.simple', bare) AS plain
                FROM (SELECT translate(q, '<>', '  ') AS bare) AS cut
            ) AS given
        ) AS made
    $$
    """,
    # How many documents a query finds, as the planner takes it.
    """
    CREATE OR REPLACE FUNCTION tasks.search_estimate(q text) RETURNS double precision LANGUAGE plpgsql
    AS $$
    DECLARE
        plan json;
    BEGIN
        EXECUTE format('EXPLAIN (FORMAT JSON) SELECT FROM tasks.search_document WHERE vector @@ %L\\:\\:tsquery',
            websearch_to_tsquery('pg_catalog.simple', translate(q, '<>', '  '))) INTO plan;
        RETURN plan->0->'Plan'->>'Plan Rows';
    END $$
    """,
    # A text with what fits marked, all of it or its best part; for what stands for marks and brackets see `rules`.
    r"""
    CREATE OR REPLACE FUNCTION tasks.search_marks(words text, query tsquery, is_whole boolean) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
        SELECT CASE WHEN strpos(stems, E'\uE000') > 0 THEN stems
            ELSE ts_headline('pg_catalog.simple', bare, query, options) END
        FROM (
            SELECT bare, options, ts_headline(tasks.search_language(), bare, query, options) AS stems
            FROM (
                SELECT translate(words, E'<>\uE000\uE001\uE002\uE003', E'\uE002\uE003') AS bare,
                    E'StartSel=\uE000, StopSel=\uE001, ' || CASE WHEN is_whole THEN 'HighlightAll=true'
                        ELSE 'MaxFragments=1, MaxWords=30, MinWords=10' END AS options
            ) AS given
        ) AS made
    $$
    """,
    # How much of a title is like some words, from 0 to 1, wherever the extension is.
    """
    DO $make$
    BEGIN
        EXECUTE format('CREATE OR REPLACE FUNCTION tasks.search_likeness(words text, title text) RETURNS real'
            ' LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT %s.word_similarity(words, title) $$',
            (SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'pg_trgm'));
    END $make$
    """,
    f"""
    CREATE OR REPLACE FUNCTION tasks.keep_task_document() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER {FIXED}
    AS $$
    BEGIN
        INSERT INTO tasks.search_document (id, kind, project_id, task_id, title, vector)
        VALUES (NEW.id, 'task', NEW.project_id, NEW.id, NEW.title,
            tasks.search_vector_of_task(NEW.title, NEW.description))
        ON CONFLICT (id) DO UPDATE
        SET project_id = excluded.project_id, title = excluded.title, vector = excluded.vector;
        RETURN NULL;
    END $$
    """,
    f"""
    CREATE OR REPLACE FUNCTION tasks.move_documents() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER {FIXED}
    AS $$
    BEGIN
        UPDATE tasks.search_document SET project_id = NEW.project_id WHERE task_id = NEW.id;
        RETURN NULL;
    END $$
    """,
    # The lock keeps the task from being moved before the document is there to be moved with it.
    f"""
    CREATE OR REPLACE FUNCTION tasks.keep_comment_document() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER {FIXED}
    AS $$
    BEGIN
        IF TG_OP = 'DELETE' OR NEW.body IS NULL THEN
            DELETE FROM tasks.search_document WHERE id = OLD.id;
            RETURN NULL;
        END IF;
        INSERT INTO tasks.search_document (id, kind, project_id, task_id, vector)
        SELECT NEW.id, 'comment', task.project_id, task.id, tasks.search_vector(NEW.body, 'C')
        FROM tasks.task WHERE task.id = NEW.task_id FOR KEY SHARE
        ON CONFLICT (id) DO UPDATE SET vector = excluded.vector;
        RETURN NULL;
    END $$
    """,
)
TRIGGERS = (
    """
    CREATE OR REPLACE TRIGGER keep_document AFTER INSERT ON tasks.task
        FOR EACH ROW EXECUTE FUNCTION tasks.keep_task_document()
    """,
    """
    CREATE OR REPLACE TRIGGER change_document AFTER UPDATE OF title, description ON tasks.task
        FOR EACH ROW
        WHEN (OLD.title IS DISTINCT FROM NEW.title OR OLD.description IS DISTINCT FROM NEW.description)
        EXECUTE FUNCTION tasks.keep_task_document()
    """,
    """
    CREATE OR REPLACE TRIGGER move_documents AFTER UPDATE OF project_id ON tasks.task
        FOR EACH ROW WHEN (OLD.project_id <> NEW.project_id) EXECUTE FUNCTION tasks.move_documents()
    """,
    """
    CREATE OR REPLACE TRIGGER keep_document AFTER INSERT OR DELETE ON tasks.comment
        FOR EACH ROW EXECUTE FUNCTION tasks.keep_comment_document()
    """,
    """
    CREATE OR REPLACE TRIGGER change_document AFTER UPDATE OF body ON tasks.comment
        FOR EACH ROW WHEN (OLD.body IS DISTINCT FROM NEW.body) EXECUTE FUNCTION tasks.keep_comment_document()
    """,
)
FUNCTION_NAMES = (
    "keep_comment_document()",
    "move_documents()",
    "keep_task_document()",
    "search_likeness(text, text)",
    "search_marks(text, tsquery, boolean)",
    "search_estimate(text)",
    "search_query(text)",
    "search_vector_of_name(text)",
    "search_vector_of_task(text, text)",
    'search_vector(text, "char")',
    "search_language()",
)


def upgrade() -> None:
    # Each by itself, so that no two tables are locked at once.
    with op.get_context().autocommit_block():
        for statement in (EXTENSION, TABLE, *INDEXES, *FUNCTIONS, *TRIGGERS):
            op.execute(statement)


def downgrade() -> None:
    """Take it all away, but for the extension: another schema may have come to use it."""
    for table in ("task", "comment"):
        for trigger in ("keep_document", "change_document"):
            op.execute(f"DROP TRIGGER {trigger} ON tasks.{table}")
    op.execute("DROP TRIGGER move_documents ON tasks.task")
    op.execute("DROP TABLE tasks.search_document")
    for name in FUNCTION_NAMES:
        op.execute(f"DROP FUNCTION tasks.{name}")
