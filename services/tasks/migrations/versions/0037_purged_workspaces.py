"""Workspaces that are gone for good, so that a position in one is told from a position in somebody else's."""

from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE tasks.purged_workspace (
            id uuid NOT NULL,
            purged_at timestamptz NOT NULL,
            CONSTRAINT pk_purged_workspace PRIMARY KEY (id)
        )
        """
    )
    # Ids alone: whoever asks has a signed position in it.
    op.execute("GRANT SELECT ON tasks.purged_workspace TO tasks_caller")


def downgrade() -> None:
    op.execute("DROP TABLE tasks.purged_workspace")
