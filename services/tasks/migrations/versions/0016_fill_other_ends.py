"""Other ends for what the log has of relations already, a thousand rows in a transaction, and the index by them."""

from alembic import op
from sqlalchemy import text

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "What an attempt that was cut short has left is dropped first.",
}

ENDS = """
    UPDATE tasks.change
    SET related_task_id =
        CASE WHEN from_id = change.task_id THEN to_id ELSE from_id END
    FROM (
        SELECT workspace_id, seq, (resource->>'from_task_id')::uuid AS from_id, (resource->>'to_task_id')::uuid AS to_id
        FROM tasks.change
        WHERE entity_type = 'relation' AND related_task_id IS NULL AND resource->>'from_task_id' IS NOT NULL
            AND resource->>'to_task_id' IS NOT NULL
        LIMIT 1000
    ) AS relation
    WHERE change.workspace_id = relation.workspace_id AND change.seq = relation.seq
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        while op.get_bind().execute(text(ENDS)).rowcount:
            pass
        # What an attempt that was cut short has left is invalid, and would count as there.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS tasks.ix_change_related_task_id")
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_change_related_task_id ON tasks.change (related_task_id, seq)"
            " WHERE related_task_id IS NOT NULL"
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY tasks.ix_change_related_task_id")
