"""Sessions and API tokens that are over, so that no job goes on by them."""

from alembic import op

revision = "0033"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE tasks.ended_credential (
            id uuid NOT NULL,
            ended_at timestamptz NOT NULL,
            CONSTRAINT pk_ended_credential PRIMARY KEY (id)
        )
        """
    )
    op.execute("CREATE INDEX ix_ended_credential_ended_at ON tasks.ended_credential (ended_at)")


def downgrade() -> None:
    op.execute("DROP TABLE tasks.ended_credential")
