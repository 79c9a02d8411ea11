"""Indexes for finding administrators and accounts that are to be deleted, made while others write."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "What an attempt that was cut short has left is dropped first.",
}

INDEXES = {
    "ix_account_deletes_at": "ON auth.account (deletes_at) WHERE deletes_at IS NOT NULL",
    "ix_account_admins": "ON auth.account (id) WHERE 'admin' = ANY (roles)",
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
