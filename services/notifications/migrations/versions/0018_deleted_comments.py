"""An index for finding which comments have been deleted since, without reading all that has happened since."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "What an attempt that was cut short has left is dropped first.",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # What an attempt that was cut short has left is invalid, and would count as there.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS notifications.ix_stream_event_comment_deleted")
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_stream_event_comment_deleted ON notifications.stream_event "
            "(workspace_id, (frame ->> 'subject')) WHERE type = 'comment.deleted.v1'"
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY notifications.ix_stream_event_comment_deleted")
