"""A change says that nobody is to be notified of it, as of what an import brings."""

from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE tasks.change ADD COLUMN quiet boolean")


def downgrade() -> None:
    op.execute("ALTER TABLE tasks.change DROP COLUMN quiet")
