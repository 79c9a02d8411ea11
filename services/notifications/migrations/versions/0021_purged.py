"""An index for finding what has been deleted for good since, without reading all that has happened since."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "What an attempt that was cut short has left is dropped first.",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # What an attempt that was cut short has left is invalid, and would count as there.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS notifications.ix_stream_event_purged")
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_stream_event_purged ON notifications.stream_event "
            "(workspace_id, (frame ->> 'subject')) WHERE type IN ('task.purged.v1', 'project.purged.v1')"
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY notifications.ix_stream_event_purged")
