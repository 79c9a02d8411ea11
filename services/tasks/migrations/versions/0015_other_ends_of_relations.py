"""The change log says which task is at the other end of a relation, so that its history has the relation, too."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE tasks.change ADD COLUMN related_task_id uuid")


def downgrade() -> None:
    op.execute("ALTER TABLE tasks.change DROP COLUMN related_task_id")
