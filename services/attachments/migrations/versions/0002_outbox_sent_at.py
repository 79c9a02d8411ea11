"""An index for forgetting sent events, made while others write."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "What an attempt that was cut short has left is dropped first.",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # What an attempt that was cut short has left is invalid, and would count as there.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS attachments.ix_outbox_sent_at")
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_outbox_sent_at ON attachments.outbox (sent_at) WHERE sent_at IS NOT NULL"
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY attachments.ix_outbox_sent_at")
