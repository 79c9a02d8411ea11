"""Indexes by which invitations are counted and forgotten, made while others write."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "What an attempt that was cut short has left is dropped first.",
}

INDEXES = {
    "ix_invitation_invited_by": "(invited_by, mailed_at)",
    "ix_invitation_email_canonical": "(email_canonical)",
    "ix_invitation_accepted_by": "(accepted_by) WHERE accepted_by IS NOT NULL",
    "ix_invitation_expires_at": "(expires_at)",
}


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for name, definition in INDEXES.items():
            # What an attempt that was cut short has left is invalid, and would count as there.
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS tasks.{name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON tasks.invitation {definition}")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for name in INDEXES:
            op.execute(f"DROP INDEX CONCURRENTLY tasks.{name}")
