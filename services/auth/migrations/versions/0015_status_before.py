"""Accounts know what they were before they were disabled, and from when on a deletion that failed is tried again."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE auth.account ADD COLUMN status_before varchar(12), ADD COLUMN deletion_not_before timestamptz"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE auth.account DROP COLUMN status_before, DROP COLUMN deletion_not_before")
