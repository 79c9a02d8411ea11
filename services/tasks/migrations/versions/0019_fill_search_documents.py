"""Documents of what was there before, a thousand rows in a transaction, and the index of their words.

Rows that are changed meanwhile have theirs by the triggers, which write over what this writes; the locks keep it from
writing what was changed or deleted since it was read.
"""

from alembic import op
from sqlalchemy import text

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "What an attempt that was cut short has left is dropped first.",
}

# Where a batch has come to is kept in the session, for the next one to go on.
START = "SELECT set_config('taskloom.filled', '00000000-0000-0000-0000-000000000000', false)"
TASKS = """
    WITH batch AS (
        SELECT id, project_id, title, description FROM tasks.task
        WHERE id > current_setting('taskloom.filled')::uuid ORDER BY id LIMIT 1000 FOR SHARE
    ),
    filled AS (
        INSERT INTO tasks.search_document (id, kind, project_id, task_id, title, vector)
        SELECT id, 'task', project_id, id, title, tasks.search_vector_of_task(title, description) FROM batch
        ON CONFLICT (id) DO NOTHING
    )
    SELECT set_config('taskloom.filled', id::text, false) FROM (SELECT id FROM batch ORDER BY id DESC LIMIT 1) AS last
"""
COMMENTS = """
    WITH batch AS (
        SELECT comment.id, comment.body, task.project_id, task.id AS task_id
        FROM tasks.comment JOIN tasks.task ON task.id = comment.task_id
        WHERE comment.id > current_setting('taskloom.filled')::uuid AND comment.body IS NOT NULL
        ORDER BY comment.id LIMIT 1000 FOR KEY SHARE OF task FOR SHARE OF comment
    ),
    filled AS (
        INSERT INTO tasks.search_document (id, kind, project_id, task_id, vector)
        SELECT id, 'comment', project_id, task_id, tasks.search_vector(body, 'C') FROM batch WHERE body IS NOT NULL
        ON CONFLICT (id) DO NOTHING
    )
    SELECT set_config('taskloom.filled', id::text, false) FROM (SELECT id FROM batch ORDER BY id DESC LIMIT 1) AS last
"""
INDEX = "CREATE INDEX CONCURRENTLY ix_search_document_vector ON tasks.search_document USING gin (vector)"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for statement in (TASKS, COMMENTS):
            op.execute(START)
            while op.get_bind().execute(text(statement)).rowcount:
                pass
        # What an attempt that was cut short has left is invalid, and would count as there.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS tasks.ix_search_document_vector")
        op.execute(f"{INDEX} WITH (fastupdate = off)")
        op.execute("ANALYZE tasks.search_document")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY tasks.ix_search_document_vector")
