"""Events that are taken in, and workspaces that are gone: what their service accounts end with."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE auth.inbox (
        consumer varchar(100) NOT NULL,
        event_id uuid NOT NULL,
        received_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_inbox PRIMARY KEY (consumer, event_id)
    )
    """,
    "CREATE INDEX ix_inbox_received_at ON auth.inbox (received_at)",
    "CREATE TABLE auth.deleted_workspace (workspace_id uuid CONSTRAINT pk_deleted_workspace PRIMARY KEY)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("deleted_workspace", "inbox"):
        op.execute(f"DROP TABLE auth.{table}")
