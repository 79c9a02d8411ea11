"""Indexes for deleting what events still tell of deleted accounts, made while others write."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "What an attempt that was cut short has left is dropped first.",
}

INDEXES = {
    "ix_account_deleted": "ON auth.account (updated_at) WHERE status = 'deleted'",
    "ix_outbox_audience": "ON auth.outbox (((data -> 'audience'::text) ->> 0))",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, definition in INDEXES.items():
            # What an attempt that was cut short has left is invalid, and would count as there.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS auth.{name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} {definition}")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name in INDEXES:
            op.execute(f"DROP INDEX CONCURRENTLY auth.{name}")
