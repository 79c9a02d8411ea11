"""Which workspace a project is in, for API tokens that are restricted to projects."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE notifications.project_place (
            project_id uuid CONSTRAINT pk_project_place PRIMARY KEY,
            workspace_id uuid NOT NULL
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE notifications.project_place")
