"""The tasks of an assignee, read from an index alone; made while others write."""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "What an attempt that was cut short has left is dropped first.",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # What an attempt that was cut short has left is invalid, and would count as there.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS tasks.ix_assignee_tasks")
        op.execute("CREATE INDEX CONCURRENTLY ix_assignee_tasks ON tasks.assignee (user_id, workspace_id, task_id)")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY tasks.ix_assignee_tasks")
