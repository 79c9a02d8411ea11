"""Each project's tasks in each order that they are listed in, made while others write."""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "What an attempt that was cut short has left is dropped first.",
}

KEYS = {
    "ix_task_by_urgency": "priority_rank DESC, due_sort, id",
    "ix_task_by_priority": "priority_rank, id",
    "ix_task_by_due": "due_sort, id",
    "ix_task_by_title": "title_sort, id",
    "ix_task_by_start": "start_date, id",
    "ix_task_by_deadline": "deadline, id",
    "ix_task_by_estimate": "estimate_minutes, id",
    "ix_task_by_completed": "completed_at, id",
    "ix_task_by_created": "created_at, id",
    "ix_task_by_updated": "updated_at, id",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, keys in KEYS.items():
            # What an attempt that was cut short has left is invalid, and would count as there.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS tasks.{name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON tasks.task (project_id, {keys}) WHERE deleted_at IS NULL")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name in KEYS:
            op.execute(f"DROP INDEX CONCURRENTLY tasks.{name}")
