"""Which project a task is in, for API tokens that are restricted to projects."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE attachments.task_location ADD COLUMN project_id uuid")


def downgrade() -> None:
    op.execute("ALTER TABLE attachments.task_location DROP COLUMN project_id")
