"""Who was deleted, so that no mail about them is kept that is asked for late."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE notifications.deleted_user (user_id uuid CONSTRAINT pk_deleted_user PRIMARY KEY)")


def downgrade() -> None:
    op.execute("DROP TABLE notifications.deleted_user")
