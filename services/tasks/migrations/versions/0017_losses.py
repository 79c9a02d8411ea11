"""A change says who saw its resource before it and does not any more."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE tasks.change ADD COLUMN lost_by uuid[]")


def downgrade() -> None:
    op.execute("ALTER TABLE tasks.change DROP COLUMN lost_by")
