"""The service accounts that workspaces have, and had."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE tasks.service_account (
            id uuid CONSTRAINT pk_service_account PRIMARY KEY,
            workspace_id uuid NOT NULL,
            deleted boolean NOT NULL
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE tasks.service_account")
