"""Indexes on tables that are filled, made while others write."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "What an attempt that was cut short has left is dropped first.",
}

INDEXES = {
    "uq_project_prefix": "UNIQUE INDEX CONCURRENTLY uq_project_prefix ON tasks.project (workspace_id, prefix)",
    "ix_project_parent_id": "INDEX CONCURRENTLY ix_project_parent_id ON tasks.project (parent_id)"
    " WHERE parent_id IS NOT NULL",
    "uq_task_number": "UNIQUE INDEX CONCURRENTLY uq_task_number ON tasks.task (project_id, number)",
    "uq_task_external": "UNIQUE INDEX CONCURRENTLY uq_task_external"
    " ON tasks.task (project_id, external_source, external_id)"
    " WHERE external_source IS NOT NULL AND deleted_at IS NULL",
    "ix_task_parent_id": "INDEX CONCURRENTLY ix_task_parent_id ON tasks.task (parent_id) WHERE parent_id IS NOT NULL",
    "ix_task_status": "INDEX CONCURRENTLY ix_task_status ON tasks.task (project_id, status)",
    "ix_task_position": "INDEX CONCURRENTLY ix_task_position ON tasks.task (project_id, position)"
    " WHERE deleted_at IS NULL",
    "ix_task_category_id": "INDEX CONCURRENTLY ix_task_category_id ON tasks.task (category_id)"
    " WHERE category_id IS NOT NULL",
    "ix_task_labels": "INDEX CONCURRENTLY ix_task_labels ON tasks.task USING gin (labels)",
    "ix_task_trash": "INDEX CONCURRENTLY ix_task_trash ON tasks.task (workspace_id, deleted_at)"
    " WHERE deleted_at IS NOT NULL",
    "ix_change_task_id": "INDEX CONCURRENTLY ix_change_task_id ON tasks.change (task_id, seq)"
    " WHERE task_id IS NOT NULL",
    "ix_change_request_id": "INDEX CONCURRENTLY ix_change_request_id ON tasks.change (request_id)",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, definition in INDEXES.items():
            # What an attempt that was cut short has left is invalid, and would count as there.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS tasks.{name}")
            op.execute(f"CREATE {definition}")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name in INDEXES:
            op.execute(f"DROP INDEX CONCURRENTLY tasks.{name}")
