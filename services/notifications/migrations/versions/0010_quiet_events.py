"""An event says that nobody is notified of it."""

from alembic import op

revision = "0010"
down_revision = "0011"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "ban-drop-default": "It is there for no longer than the transaction: nobody has ever written by it.",
}


def upgrade() -> None:
    # Of what was there before anybody was notified of anything, nobody is.
    op.execute("ALTER TABLE notifications.stream_event ADD COLUMN quiet boolean DEFAULT true")
    op.execute("ALTER TABLE notifications.stream_event ALTER COLUMN quiet DROP DEFAULT")


def downgrade() -> None:
    op.execute("ALTER TABLE notifications.stream_event DROP COLUMN quiet")
