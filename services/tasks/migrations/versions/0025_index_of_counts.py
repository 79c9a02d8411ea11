"""An index that counts of tasks are read from, whatever the tasks themselves are as big as; made while others write."""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "What an attempt that was cut short has left is dropped first.",
}

# Equal entries are kept once, so it is small: no column is one that tells tasks apart.
INDEX = """
    CREATE INDEX CONCURRENTLY ix_task_counts
    ON tasks.task (project_id, status, priority, assigned_to, status_category, workspace_id)
    WHERE deleted_at IS NULL
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # What an attempt that was cut short has left is invalid, and would count as there.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS tasks.ix_task_counts")
        op.execute(INDEX)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY tasks.ix_task_counts")
