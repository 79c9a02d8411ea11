"""Until when what is sent to has asked to be left alone."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE notifications.delivery ADD COLUMN paused_until timestamptz")


def downgrade() -> None:
    op.execute("ALTER TABLE notifications.delivery DROP COLUMN paused_until")
