"""Since which change somebody is a member: what they were given before that has ended with a former membership."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE attachments.membership ADD COLUMN joined_seq bigint NOT NULL DEFAULT 0")


def downgrade() -> None:
    op.execute("ALTER TABLE attachments.membership DROP COLUMN joined_seq")
