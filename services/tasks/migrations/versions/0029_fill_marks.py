"""Marks of the tasks that were there before, a thousand tasks in a transaction, and the orders that they are walked in.

Tasks that are changed meanwhile have theirs by the triggers; the locks keep this from writing what was changed or
deleted since it was read. What an index of the tasks of an assignee begins with needs no index of its own, and that of
the arrays of labels is none that a request could use.
"""

from alembic import op
from sqlalchemy import text

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "What an attempt that was cut short has left is dropped first.",
}

# Where a batch has come to is kept in the session, for the next one to go on.
START = "SELECT set_config('taskloom.filled', '00000000-0000-0000-0000-000000000000', false)"
FILL = """
    WITH batch AS (
        SELECT id, assignees || labels AS marks, deleted_at, project_id, status, status_category, priority,
            priority_rank, due_sort, updated_at
        FROM tasks.task WHERE id > current_setting('taskloom.filled')::uuid ORDER BY id LIMIT 1000 FOR SHARE
    ),
    filled AS (
        INSERT INTO tasks.task_mark (task_id, mark, project_id, status, status_category, priority, priority_rank,
            due_sort, updated_at)
        SELECT id, mark, project_id, status, status_category, priority, priority_rank, due_sort, updated_at
        FROM batch, unnest(marks) AS mark WHERE deleted_at IS NULL
        ON CONFLICT (task_id, mark) DO NOTHING
    )
    SELECT set_config('taskloom.filled', id::text, false) FROM (SELECT id FROM batch ORDER BY id DESC LIMIT 1) AS last
"""
# The first is read alone, to count: so it has what tasks of a mark are asked for most.
INDEXES = {
    "newest": "(mark, project_id, task_id) INCLUDE (status, status_category, priority)",
    "urgency": "(mark, project_id, priority_rank DESC, due_sort, task_id)",
    "due": "(mark, project_id, due_sort, task_id)",
    "updated": "(mark, project_id, updated_at, task_id)",
}
DROPPED = {
    "ix_assignee_user_id": "assignee (user_id, workspace_id)",
    "ix_task_labels": "task USING gin (labels)",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(START)
        while op.get_bind().execute(text(FILL)).rowcount:
            pass
        for name, definition in INDEXES.items():
            # What an attempt that was cut short has left is invalid, and would count as there.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS tasks.ix_task_mark_by_{name}")
            op.execute(f"CREATE INDEX CONCURRENTLY ix_task_mark_by_{name} ON tasks.task_mark {definition}")
        op.execute("VACUUM (ANALYZE) tasks.task_mark")
        for name in DROPPED:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS tasks.{name}")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name, definition in DROPPED.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS tasks.{name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON tasks.{definition}")
        for name in INDEXES:
            op.execute(f"DROP INDEX CONCURRENTLY tasks.ix_task_mark_by_{name}")
