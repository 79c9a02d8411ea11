"""Where webhooks and chats begin, and when a webhook was disabled: what came before is judged by that."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE notifications.webhook ADD COLUMN begins_after jsonb, ADD COLUMN disabled_at timestamptz")
    op.execute("ALTER TABLE notifications.chat_connection ADD COLUMN begins_after bigint")


def downgrade() -> None:
    op.execute("ALTER TABLE notifications.chat_connection DROP COLUMN begins_after")
    op.execute("ALTER TABLE notifications.webhook DROP COLUMN begins_after, DROP COLUMN disabled_at")
