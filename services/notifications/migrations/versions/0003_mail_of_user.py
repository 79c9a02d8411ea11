"""An index for forgetting the mails of a deleted user, made while others write."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "What an attempt that was cut short has left is dropped first.",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # What an attempt that was cut short has left is invalid, and would count as there.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS notifications.ix_mail_delivery_user_id")
        op.execute("CREATE INDEX CONCURRENTLY ix_mail_delivery_user_id ON notifications.mail_delivery (user_id)")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY notifications.ix_mail_delivery_user_id")
