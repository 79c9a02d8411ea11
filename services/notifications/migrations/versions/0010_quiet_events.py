"""An event says that nobody is notified of it."""

from alembic import op

revision = "0010"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE notifications.stream_event ADD COLUMN quiet boolean")


def downgrade() -> None:
    op.execute("ALTER TABLE notifications.stream_event DROP COLUMN quiet")
