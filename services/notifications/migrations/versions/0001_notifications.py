"""The replay store, its heads, memberships, and the service's inbox."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE notifications.stream_event (
        workspace_id uuid NOT NULL,
        seq bigint NOT NULL,
        type varchar(100) NOT NULL,
        audience uuid[] NOT NULL,
        frame jsonb NOT NULL,
        occurred_at timestamptz NOT NULL,
        CONSTRAINT pk_stream_event PRIMARY KEY (workspace_id, seq)
    )
    """,
    "CREATE INDEX ix_stream_event_occurred_at ON notifications.stream_event (occurred_at)",
    """
    CREATE TABLE notifications.stream_head (
        workspace_id uuid CONSTRAINT pk_stream_head PRIMARY KEY,
        contiguous_seq bigint NOT NULL
    )
    """,
    """
    CREATE TABLE notifications.membership (
        workspace_id uuid NOT NULL,
        user_id uuid NOT NULL,
        joined_seq bigint NOT NULL,
        changed_seq bigint NOT NULL,
        removed boolean NOT NULL,
        CONSTRAINT pk_membership PRIMARY KEY (workspace_id, user_id)
    )
    """,
    "CREATE INDEX ix_membership_user_id ON notifications.membership (user_id)",
    """
    CREATE TABLE notifications.inbox (
        consumer varchar(100) NOT NULL,
        event_id uuid NOT NULL,
        received_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_inbox PRIMARY KEY (consumer, event_id)
    )
    """,
    "CREATE INDEX ix_inbox_received_at ON notifications.inbox (received_at)",
)

TABLES = ("inbox", "membership", "stream_head", "stream_event")


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TABLE notifications.{table}")
