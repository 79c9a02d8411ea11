"""Personal streams: what an event of one user is about, and the outbox; keys of repeated requests."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE notifications.stream_event ADD COLUMN about_workspace_id uuid",
    """
    CREATE TABLE notifications.outbox (
        event_id uuid CONSTRAINT pk_outbox PRIMARY KEY,
        type varchar(100) NOT NULL,
        occurred_at timestamptz NOT NULL,
        stream_id uuid NOT NULL,
        sequence bigint NOT NULL,
        subject uuid NOT NULL,
        data jsonb NOT NULL,
        traceparent varchar(64),
        state varchar(8) NOT NULL DEFAULT 'new',
        attempts smallint NOT NULL DEFAULT 0,
        available_at timestamptz,
        sent_at timestamptz
    )
    """,
    "CREATE INDEX ix_outbox_unsent ON notifications.outbox (stream_id, sequence) WHERE state = 'new'",
    "CREATE INDEX ix_outbox_sent_at ON notifications.outbox (sent_at) WHERE sent_at IS NOT NULL",
    """
    CREATE TABLE notifications.idempotency_key (
        caller_id uuid NOT NULL,
        key varchar(255) NOT NULL,
        fingerprint bytea NOT NULL,
        status smallint NOT NULL,
        headers jsonb NOT NULL,
        body bytea NOT NULL,
        created_at timestamptz NOT NULL,
        CONSTRAINT pk_idempotency_key PRIMARY KEY (caller_id, key)
    )
    """,
    "CREATE INDEX ix_idempotency_key_created_at ON notifications.idempotency_key (created_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for statement in (
        "DROP TABLE notifications.idempotency_key",
        "DROP TABLE notifications.outbox",
        "ALTER TABLE notifications.stream_event DROP COLUMN about_workspace_id",
    ):
        op.execute(statement)
