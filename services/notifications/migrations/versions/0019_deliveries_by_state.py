"""An index for a webhook's deliveries of one state, of which there may be few among many."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "What an attempt that was cut short has left is dropped first.",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS notifications.ix_webhook_delivery_webhook_id_state_id")
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_webhook_delivery_webhook_id_state_id ON notifications.webhook_delivery "
            "(webhook_id, state, id)"
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY notifications.ix_webhook_delivery_webhook_id_state_id")
