"""An event says who lost sight of what it is about, so that they can be told that it is gone."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE notifications.stream_event ADD COLUMN lost_by uuid[]")


def downgrade() -> None:
    op.execute("ALTER TABLE notifications.stream_event DROP COLUMN lost_by")
