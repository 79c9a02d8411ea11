"""Indexes for what is blanked and purged every minute, made while others write."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "What an attempt that was cut short has left is dropped first.",
}

INDEXES = {
    "ix_refresh_token_replaced_at": "auth.refresh_token (replaced_at) WHERE successor_sealed IS NOT NULL",
    "ix_totp_pending": "auth.totp (created_at) WHERE confirmed_at IS NULL",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, definition in INDEXES.items():
            # What an attempt that was cut short has left is invalid, and would count as there.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS auth.{name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {definition}")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name in INDEXES:
            op.execute(f"DROP INDEX CONCURRENTLY auth.{name}")
